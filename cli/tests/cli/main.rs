//! Every command, through the real binary.

mod assign;
mod diff;
mod edit;
mod explain;
mod mistakes;
mod readme;
mod schema;
mod simulate;
mod support;
mod test;
mod validate;
