//! `splitway power`.

use crate::support::{Bench, SHOP};

#[test]
fn the_published_size_and_its_inverse() {
    let bench = Bench::new(&[]);
    let ran = bench.run("power --baseline 10% --effect 0.02 --daily 1000 --json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    let row = &ran.json()["rows"][3];
    assert_eq!((row["control"].as_f64(), row["days"].as_f64()), (Some(3841.0), Some(8.0)));
    let ran = bench.run("power --baseline 10% --units 3841 --json");
    let effect = ran.json()["rows"][0]["effect"].as_f64().unwrap();
    assert!((effect - 0.02).abs() < 1e-5, "{effect}");
    let ran = bench.run("power --deviation 2 --effect 1 --json");
    assert_eq!(ran.json()["rows"][3]["control"], 63.0);
}

#[test]
fn a_config_states_the_arms() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run("power --config shop.yaml --experiment wording --baseline 10% --effect 0.02 --at 2026-11-20T00:00:00Z --daily 1000 --json");
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(
        ran.json()["rows"][3]["days"].as_f64().unwrap() > 8.0,
        "only part of the traffic enters: {}",
        ran.out
    );
    assert_eq!(bench.run("power --config shop.yaml --experiment none --baseline 10%").code, 2);
}

#[test]
fn mistakes() {
    let bench = Bench::new(&[]);
    for wrong in
        ["power", "power --baseline 10%", "power --baseline 10% --effect 0", "power --deviation 0 --effect 1"]
    {
        assert_eq!(bench.run(wrong).code, 2, "{wrong}");
    }
}
