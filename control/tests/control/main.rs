//! The control plane from outside: inputs in, events and states out.

mod evidence;
mod life;
mod log;
mod model;
mod month;
mod pages;
mod policies;
mod queue;
mod rehearsal;
mod rollouts;
mod support;
