//! Decides in-process with the demo's config: the same engine, the same variants as in the proxy.

use splitway_engine::{Document, NoTrace, Problems, RequestView, Timestamp, compile};

fn main() -> Result<(), Problems> {
    let plan = compile(&Document::from_yaml(include_str!("../checkout/splitway.yaml"))?)?;
    for user in ["user-1", "user-2", "user-3"] {
        let headers: [(&[u8], &[u8]); 3] =
            [(b":method", b"GET"), (b":path", b"/checkout"), (b"x-user-id", user.as_bytes())];
        let decision = plan.decide(&RequestView::new(&headers), Timestamp(0), &mut NoTrace);
        let stamp = plan.stamp(&decision).unwrap_or_default();
        println!("{user}: {stamp} -> {}", plan.cluster(&decision).unwrap_or("the default cluster"));
    }
    Ok(())
}
