//! Generated requests, and decisions in terms of names: handles of two plans
//! cannot be compared.

use std::collections::BTreeMap;

use proptest::prelude::*;
use splitway_engine::{Decision, NoTrace, Plan, Reason, RequestView, Timestamp};

/// Headers of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request(pub(crate) Vec<(String, Vec<u8>)>);

impl Request {
    /// A request of the unit `id`.
    pub(crate) fn of(id: &str) -> Self {
        Self::default().with(":method", "GET").with(":path", "/shop/a").with("x-user", id)
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The pairs that a view borrows.
    pub(crate) fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())).collect()
    }

    /// What `plan` decides for it at `now`.
    pub(crate) fn decide(&self, plan: &Plan, now: Timestamp) -> Decision {
        plan.decide(&RequestView::new(&self.pairs()), now, &mut NoTrace)
    }

    /// The same by names.
    pub(crate) fn entered(&self, plan: &Plan, now: Timestamp) -> BTreeMap<String, Entered> {
        let decision = self.decide(plan, now);
        let named = decision.assignments.iter().filter_map(|assignment| {
            let experiment = plan.experiment(assignment.experiment)?;
            let variant = experiment.variant(assignment.variant)?.id().to_owned();
            let entered = Entered { variant, bucket: assignment.bucket, reason: assignment.reason };
            Some((experiment.id().to_owned(), entered))
        });
        named.collect()
    }
}

/// How an experiment was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) variant: String,
    pub(crate) bucket: u32,
    pub(crate) reason: Reason,
}

/// Requests that some rule of the generated configs holds for, and odd ones.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let unit = prop_oneof![
        6 => (0_u32..400).prop_map(|n| format!("unit-{n}").into_bytes()),
        1 => "\\PC{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    let units =
        prop::collection::vec((prop::sample::select(&["x-user", "uid", "device", "none"]), unit), 1..4);
    let path = prop::sample::select(&["/shop/a?n=3", "/shop", "/shopping?ref=unit-9&n=x", "/b/a", "*"]);
    let extra = prop::collection::vec(
        prop::sample::select(&[
            ("user-agent", "Googlebot"),
            ("user-agent", "curl"),
            ("cookie", "beta=1"),
            ("x-plan", "1.10.0"),
            ("x-plan", "2.0.0-rc.1"),
            ("x-forwarded-for", "10.1.2.3"),
            ("x-forwarded-for", "::ffff:10.0.0.1, 192.0.2.1"),
        ]),
        0..4,
    );
    (prop::sample::select(&["GET", "POST"]), path, units, extra).prop_map(|(method, path, units, extra)| {
        let mut request = Request::default().with(":method", method).with(":path", path);
        for (place, unit) in units {
            request = match place {
                "none" => request,
                "x-user" => request.with("x-user", unit),
                cookie => request.with("cookie", [cookie.as_bytes(), b"=", &unit].concat()),
            };
        }
        extra.into_iter().fold(request, |request, (name, value)| request.with(name, value))
    })
}

/// Several of them.
pub(crate) fn requests() -> impl Strategy<Value = Vec<Request>> {
    prop::collection::vec(request(), 40)
}
