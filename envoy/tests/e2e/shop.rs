//! The proxy that most tests share: one experiment for each thing to be seen, each on a path of its
//! own, so that tests running side by side do not meet.

use std::sync::{Arc, LazyLock, Weak};

use serde_json::{Value, json};
use splitway_envoy::{Envoy, EnvoyConfig, Upstream};
use tokio::sync::Mutex;

/// Two upstreams and an Envoy in front of them.
pub(crate) struct Shop {
    pub(crate) envoy: Envoy,
    pub(crate) v1: Upstream,
    pub(crate) v2: Upstream,
}

/// Weak, because a static is never dropped: the last test that holds it stops Envoy.
static SHARED: LazyLock<Mutex<Weak<Shop>>> = LazyLock::new(Mutex::default);

impl Shop {
    /// The shared shop. Do not change its config.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(shop) = shared.upgrade() {
            return shop;
        }
        let shop = Arc::new(Self::open(&document()).await);
        *shared = Arc::downgrade(&shop);
        shop
    }

    /// A shop of one's own, with a document that must be good.
    pub(crate) async fn open(document: &Value) -> Self {
        let shop = Self::open_with(&document.to_string(), |_| {}).await;
        let updates = shop.envoy.updates().await.expect("stats");
        assert_eq!((updates.accepted, updates.refused), (1, 0), "{}", shop.envoy.log_tail());
        shop
    }

    /// A shop of one's own, with any text as its document, and changes to how Envoy is started.
    pub(crate) async fn open_with(document: &str, change: impl FnOnce(&mut EnvoyConfig)) -> Self {
        let v1 = Upstream::start("checkout-v1").expect("an upstream");
        let v2 = Upstream::start("checkout-v2").expect("an upstream");
        let mut config = EnvoyConfig::new(document, &v1, &v2);
        change(&mut config);
        let envoy = Envoy::start(config).await.expect("Envoy starts");
        Self { envoy, v1, v2 }
    }
}

/// An Envoy in front of these upstreams, with a document that must be good, and changes to how it is started.
pub(crate) async fn start(
    document: &Value,
    v1: &Upstream,
    v2: &Upstream,
    change: impl FnOnce(&mut EnvoyConfig),
) -> Envoy {
    let mut config = EnvoyConfig::new(document.to_string(), v1, v2);
    change(&mut config);
    let envoy = Envoy::start(config).await.expect("Envoy starts");
    let updates = envoy.updates().await.expect("stats");
    assert_eq!((updates.accepted, updates.refused), (1, 0), "{}", envoy.log_tail());
    envoy
}

/// A document with these experiments; the unit is `x-user-id`, or the cookie `uid`.
pub(crate) fn with_experiments(experiments: &Value) -> Value {
    json!({
        "version": 1,
        "namespace": "shop",
        "unit": [{ "header": "x-user-id" }, { "cookie": "uid" }],
        "exposure": { "key": "0123456789abcdef" },
        "experiments": experiments,
    })
}

/// A 50:50 experiment whose treatment has its own cluster and request header.
pub(crate) fn checkout_button() -> Value {
    json!({
        "id": "checkout-button",
        "variants": [
            { "id": "control", "weight": 50 },
            {
                "id": "one-step",
                "weight": 50,
                "route": { "cluster": "checkout-v2" },
                "request_headers": { "set": { "x-checkout": "one-step" } },
            },
        ],
    })
}

/// An experiment on one path with a single variant `on`, which every unit gets.
pub(crate) fn everyone(id: &str, path: &str, mut variant: Value) -> Value {
    variant["id"] = "on".into();
    variant["weight"] = 1.into();
    json!({
        "id": id,
        "targeting": { "path": { "equals": path } },
        "variants": [variant],
    })
}

fn document() -> Value {
    let mut split = checkout_button();
    split["targeting"] = json!({ "path": { "prefix": "/split" } });
    with_experiments(&json!([
        split,
        everyone("plain", "/plain", json!({})),
        everyone("stamp-a", "/stamps", json!({})),
        everyone("stamp-b", "/stamps", json!({})),
        everyone("metrics", "/metrics", json!({})),
    ]))
}
