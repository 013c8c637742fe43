//! The control plane's decisions: events -> [`State`]; (state, [`Input`], now) -> events.
//!
//! Pure: no clock, no I/O, not asynchronous. A controller does four things around it. It appends what [`react`] returns to
//! a log, all or nothing, if the log still ends where the state does; it takes the state that came with it; it
//! delivers [`State::wanted`]; and it hands in what it saw. After a crash it folds the log ([`State::fold`]) and goes on:
//! what must still be done follows from the state alone.
//!
//! ```
//! use splitway_control::{Actor, Command, Evidence, Input, Intent, Phase, State, Time, react};
//!
//! let intent = Intent::from_yaml("
//! version: 1
//! unit: [{ cookie: uid }]
//! experiments:
//!   - { id: button, variants: [{ id: a }, { id: b }] }
//! ")?;
//! let (mut state, evidence) = (State::default(), Evidence::default());
//! for input in [Input::Intent(intent), Input::Command(Command::Enqueue { experiment: "button".into() })] {
//!     let reaction = react(&state, &evidence, &Actor::person("ann")?, &input, Time(0));
//!     // Here a controller appends `reaction.events`.
//!     state = reaction.state;
//! }
//! assert_eq!(state.experiment("button").map(|one| one.phase), Some(Phase::Queued));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking"))]

mod actor;
mod chain;
mod command;
mod compose;
mod event;
mod evidence;
mod intent;
mod notify;
mod phase;
mod policy;
mod programme;
mod react;
mod rollout;
mod rules;
mod state;
mod time;

pub use actor::{Actor, BlankActor};
pub use chain::{Corrupt, Head, Sealed};
pub use command::{Command, Input};
pub use compose::{Document, compose};
pub use event::{Body, Cause, Condition, Event, Gate, Moved, Tally, Verdict, VerdictCode};
pub use evidence::{Evidence, Measure, Sample};
pub use intent::{Definition, Intent};
pub use notify::{Notification, notification};
pub use phase::{Move, Phase, TRANSITIONS};
pub use policy::{Budget, Freeze, Policies};
pub use programme::{Hygiene, Programme};
pub use react::{Reaction, Refusal, react};
pub use rollout::{Rollout, Step};
pub use rules::{Reason, Rule};
pub use state::{Approval, Archived, Experiment, Proxy, State, Wanted};
pub use time::Time;
