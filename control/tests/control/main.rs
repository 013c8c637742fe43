//! The control plane from outside: inputs in, events and states out.

mod evidence;
mod life;
mod log;
mod model;
mod policies;
mod queue;
mod rollouts;
mod support;
