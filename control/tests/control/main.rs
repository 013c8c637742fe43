//! The control plane from outside: inputs in, events and states out.

mod evidence;
mod life;
mod log;
mod model;
mod policies;
mod queue;
mod rollouts;
#[allow(dead_code, reason = "more tests are being written on it")]
mod support;
