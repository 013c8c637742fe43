//! Contexts, timers, clock.

use super::{Guest, Work};
use crate::state::{Context, Deferred, Timer};
use crate::types::Status;

/// Ends a root context whose `proxy_on_done` had answered false. Of the root
/// only: a stream's answer is not asked for twice (Envoy's `Wasm::done`).
pub(super) fn done(guest: &mut Guest<'_>) -> Work {
    let state = guest.state();
    let id = state.context_id();
    match state.contexts.get_mut(&id) {
        Some(Context::Root(root)) if root.pending_done => {
            root.pending_done = false;
            state.actions.push_back(Deferred::FinishRoot(id));
            Ok(())
        }
        _ => Err(Status::NotFound.into()),
    }
}

pub(super) fn set_effective_context(guest: &mut Guest<'_>, context: u32) -> Work {
    let state = guest.state();
    if !state.contexts.contains_key(&context) {
        return Err(Status::BadArgument.into());
    }
    state.effective = context;
    Ok(())
}

/// One timer per root context; 0 turns it off, a new period starts anew.
pub(super) fn set_tick_period(guest: &mut Guest<'_>, milliseconds: u32) -> Work {
    let state = guest.state();
    let now = state.shared.now_ns();
    let id = state.root_id();
    let period_ns = u64::from(milliseconds) * 1_000_000;
    if let Some(root) = state.root_mut(id) {
        root.timer = (milliseconds != 0).then(|| Timer { period_ns, due_ns: now.saturating_add(period_ns) });
    }
    Ok(())
}

pub(super) fn current_time(guest: &mut Guest<'_>, time: u32) -> Work {
    let now = guest.state().shared.now_ns();
    guest.write_u64(time, now)
}
