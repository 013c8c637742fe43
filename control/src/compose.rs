//! The delivered document: the config around the experiments, with the present step of each that runs.

use serde_json::{Map, Value, json};
use splitway_document as document;
use splitway_document::Problems;
use splitway_engine::diff::{Side, change};
use splitway_engine::{Plan, Secrets, Timestamp, compile_with};

use crate::event::Moved;
use crate::phase::Phase;
use crate::state::{Experiment, State};
use crate::time::Time;

/// Made-up units by which shares are counted where another bucketing than Splitway's decides.
const UNITS: u32 = 2_000;

/// A document that compiles.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its content hash: the config version.
    pub hash: String,
    /// Its text, as canonical JSON: what is delivered.
    pub text: String,
    side: Side,
}

impl Document {
    /// The compiled document.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.side.plan()
    }

    /// Who moves from `before` to this; experiments of which nothing changes are left out.
    pub(crate) fn changes(&self, before: Option<&Self>, now: Time) -> Vec<Moved> {
        let Some(before) = before else { return Vec::new() };
        let written = |one: &Self| -> Map<String, Value> {
            let whole: Value = serde_json::from_str(&one.text).unwrap_or_default();
            let list = whole.get("experiments").and_then(Value::as_array).cloned().unwrap_or_default();
            let id = |value: &Value| value.get("id").and_then(Value::as_str).map(str::to_owned);
            list.into_iter().filter_map(|value| Some((id(&value)?, value))).collect()
        };
        let around = |one: &Self| -> Option<Value> {
            let mut whole: Value = serde_json::from_str(&one.text).ok()?;
            whole.as_object_mut()?.remove("experiments");
            Some(whole)
        };
        let (old, new) = (written(before), written(self));
        let is_same_base = around(before) == around(self);
        let ids: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let is_other = |id: &&&String| !is_same_base || old.get(**id) != new.get(**id);
        let moved = |id: &String| {
            let found = change(&before.side, &self.side, id, Timestamp(now.0), UNITS);
            // Few digits, so that a text that is read and written again stays the same.
            let round = |share: f64| (share * 1e8).round() / 1e8;
            Moved {
                experiment: found.experiment,
                changes_variant: round(found.changes_variant),
                enters: round(found.enters),
                leaves: round(found.leaves),
                served_otherwise: round(found.served_otherwise),
                in_after: round(found.in_after),
                exact: found.exact,
            }
        };
        ids.iter().filter(is_other).map(|id| moved(id)).collect()
    }
}

/// The document that the state wants in force; `None` without a config. Its hash is that of [`State::wanted`] wherever
/// the same build of Splitway wanted it.
///
/// # Errors
/// Why it does not compile.
pub fn compose(state: &State) -> Result<Option<Document>, Problems> {
    let Some(base) = &state.base else { return Ok(None) };
    let mut whole: Value = serde_json::from_str(&base.text).unwrap_or_else(|_| json!({}));
    let entries: Vec<Value> = state.live.values().filter_map(|one| entry(one)).collect();
    if let Some(fields) = whole.as_object_mut() {
        if state.killed {
            fields.insert("kill_switch".to_owned(), Value::Bool(true));
        }
        fields.insert("experiments".to_owned(), Value::Array(entries));
    }
    let read = document::Document::from_json(whole.to_string().as_bytes())?;
    let plan = compile_with(&read, Secrets::WITHHELD)?;
    let hash = plan.content_hash().to_owned();
    Ok(Some(Document { hash, text: read.to_json(), side: Side::new(&read, plan) }))
}

/// An experiment as it is delivered, if it is.
fn entry(one: &Experiment) -> Option<Value> {
    if !one.phase.holds_buckets() || one.phase == Phase::Completed && one.shipped.is_none() {
        return None;
    }
    let mut fields: Map<String, Value> = serde_json::from_str(one.definition.text()).ok()?;
    for name in ["rollout", "ramp", "on_call", "runbook", "rollback_contact"] {
        fields.remove(name);
    }
    let status = if one.phase == Phase::Paused { "paused" } else { "running" };
    fields.insert("status".to_owned(), json!(status));
    fields.insert("traffic".to_owned(), json!(one.definition.rollout().step(one.step)?.traffic));
    if !one.buckets.is_empty() {
        fields.insert("buckets".to_owned(), json!(one.buckets));
    }
    if let Some(shipped) = &one.shipped {
        fields.remove("guardrails");
        fields.remove("overrides");
        fields.insert("traffic".to_owned(), json!("100%"));
        let mut variants = fields.remove("variants")?;
        let list = variants.as_array_mut()?;
        list.retain(|variant| variant.get("id").and_then(Value::as_str) == Some(shipped));
        if let Some(winner) = list.first_mut().and_then(Value::as_object_mut) {
            winner.remove("buckets");
            winner.remove("control");
            winner.insert("weight".to_owned(), json!(100));
        }
        fields.insert("variants".to_owned(), variants);
    }
    Some(Value::Object(fields))
}
