//! `splitway allocate` and `splitway reweight`.

use std::fmt::Write as _;

use proptest::prelude::*;
use splitway_engine::{Document, compile, read_wire};

use crate::support::{Bench, SHOP};

#[test]
fn reweighting_keeps_everything_else() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    insta::assert_snapshot!(
        "reweight_button",
        bench.run("reweight shop.yaml button control=80 big=20").all()
    );
    assert_eq!(bench.read("shop.yaml"), SHOP, "nothing was written without --write");
    insta::assert_snapshot!(
        "reweight_add_remove",
        bench.run("reweight shop.yaml wording b=1 new=2 --remove a --remove c").all()
    );
    insta::assert_snapshot!(
        "reweight_block",
        bench.run("reweight shop.yaml search ranked=1 other=1 third=0 --remove control").all()
    );
}

#[test]
fn written_files_are_as_printed() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    let ran = bench.run("reweight shop.yaml button control=80 big=20 --write");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.all());
    let text = bench.read("shop.yaml");
    for comment in SHOP.lines().filter_map(|line| line.split_once('#')) {
        assert!(text.contains(comment.1), "{}", comment.1);
    }
    // Again: nothing to do.
    let ran = bench.run("reweight shop.yaml button control=80 big=20");
    assert_eq!((ran.code, ran.out.trim()), (0, ""), "{}", ran.all());
    assert!(ran.err.contains("0% of its units"), "{}", ran.err);
}

#[test]
fn allocating_grows_shrinks_and_begins() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    insta::assert_snapshot!("allocate_grow", bench.run("allocate shop.yaml button --share 50%").all());
    insta::assert_snapshot!("allocate_shrink", bench.run("allocate shop.yaml wording --buckets 10").all());
    let third = SHOP.replace("overrides: { ranked", "layer: checkout\n    overrides: { ranked");
    let bench = Bench::new(&[("third.yaml", &third)]);
    insta::assert_snapshot!("allocate_begin", bench.run("allocate third.yaml search --share 5%").all());
    let ran = bench.run("allocate third.yaml search --share 11%");
    assert!(ran.code == 1 && ran.err.contains("1000 free buckets, which is 100 too few"), "{}", ran.all());
}

#[test]
fn a_layer_is_shared_out_one_by_one() {
    let config = "version: 1
unit: [{ cookie: uid }]
layers: [{ id: l }]
experiments:
  - { id: x, layer: l, variants: [{ id: a }] }
  - { id: y, layer: l, variants: [{ id: a }] }
";
    let bench = Bench::new(&[("c.yaml", config)]);
    let ran = bench.run("allocate c.yaml x --share 30% --write");
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "x owns 3000 of 10000 buckets\nexperiments that still need buckets: y\n")
    );
    assert_eq!(bench.run("validate c.yaml").code, 1);
    assert_eq!(bench.run("allocate c.yaml y --share 70% --write").code, 0);
    assert_eq!(bench.run("validate c.yaml").code, 0);
    assert!(bench.read("c.yaml").contains("{ id: y, layer: l, buckets: [[3000, 9999]], variants"));
}

#[test]
fn json_is_edited_as_json() {
    let json = r#"{
  "version": 1,
  "unit": [{"cookie": "uid"}],
  "layers": [{"id": "l"}],
  "experiments": [
    {
      "id": "x",
      "layer": "l",
      "variants": [
        {"id": "a"},
        {"id": "b"}
      ]
    }
  ]
}
"#;
    let bench = Bench::new(&[("c.json", json)]);
    assert_eq!(bench.run("allocate c.json x --share 20% --write").code, 0);
    assert_eq!(bench.run("reweight c.json x a=1 b=1 c=2 --write").code, 0);
    insta::assert_snapshot!(bench.read("c.json"));
    assert!(Document::from_json(bench.read("c.json").as_bytes()).is_ok());
}

#[test]
fn mistakes_are_told() {
    let bench = Bench::new(&[("shop.yaml", SHOP)]);
    for (args, code, says) in [
        ("reweight shop.yaml buton control=1", 2, "did you mean `button`?"),
        ("reweight shop.yaml button control=1", 2, "`big` has no weight"),
        ("reweight shop.yaml button control=0 big=0", 2, "at least one weight must be above 0"),
        ("reweight shop.yaml button control=1 control=2 big=1", 2, "is given two weights"),
        ("reweight shop.yaml button control=1 big=1 --remove big", 2, "cannot get a weight and be removed"),
        ("reweight shop.yaml search control=1 --remove ranked", 1, "unknown_reference"),
        ("allocate shop.yaml button", 2, "--share"),
        ("allocate shop.yaml button --share 0%", 2, "one bucket"),
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, code, "{args}: {}", ran.all());
        assert!(ran.err.contains(says), "{args}: {}", ran.err);
    }
    assert_eq!(bench.read("shop.yaml"), SHOP);
}

/// Text that stands for several values is left alone.
#[test]
fn anchors_and_aliases_are_refused() {
    let config = "version: 1
unit: [{ cookie: uid }]
layers: [{ id: l }]
experiments:
  - id: x
    layer: l
    buckets: &b
      - [0, 99]
      - [200, 299]
    variants: &v [{ id: a }, { id: b }]
  - { id: y, layer: l, buckets: [[300, 399]], variants: *v }
";
    let bench = Bench::new(&[("c.yaml", config)]);
    for args in ["allocate c.yaml x --share 5% --write", "reweight c.yaml y a=1 b=3 --write"] {
        let ran = bench.run(args);
        assert!(ran.code == 1 && ran.err.contains("nothing was written"), "{args}: {}", ran.all());
    }
    assert_eq!(bench.read("c.yaml"), config);
}

/// By bucket, the variant of experiment `x`.
fn owners(text: &str) -> Vec<String> {
    let plan = compile(&Document::from_yaml(text).unwrap()).unwrap();
    let (_, experiment) = plan.find("x").unwrap();
    experiment
        .variant_ranges()
        .flat_map(|(run, variant)| vec![experiment.variant(variant).unwrap().id().to_owned(); run.len()])
        .collect()
}

fn counts(owners: &[String], id: &str) -> usize {
    owners.iter().filter(|owner| *owner == id).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Who moves is exactly who must: what the shrinking variants lose.
    #[test]
    fn reweighting_moves_the_least(
        steps in prop::collection::vec(prop::collection::vec(0_u32..50, 2..6), 2..4),
        is_flow in any::<bool>(),
    ) {
        let weights = |step: &[u32]| -> Vec<(String, u32)> {
            // A weight of 0 for the first would leave nobody to hold the buckets.
            step.iter().enumerate().map(|(n, w)| (format!("v{n}"), if n == 0 { w + 1 } else { *w })).collect()
        };
        let mut text = String::from("version: 1\nunit: [{ cookie: uid }]\nexperiments:\n  - id: x # x\n    variants:");
        for (n, (id, weight)) in weights(&steps[0]).into_iter().enumerate() {
            if is_flow {
                let sign = if n == 0 { " [" } else { ", " };
                write!(text, "{sign}{{ id: {id}, weight: {weight} }}").unwrap();
            } else {
                write!(text, "\n      # {id}\n      - id: {id}\n        weight: {weight} # {id}").unwrap();
            }
        }
        text.push_str(if is_flow { "]\n" } else { "\n" });
        let bench = Bench::new(&[("c.yaml", &text)]);
        for step in &steps[1..] {
            let before = bench.read("c.yaml");
            let wanted = weights(step);
            let mut args = String::from("reweight c.yaml x --write");
            for (id, weight) in &wanted {
                write!(args, " {id}={weight}").unwrap();
            }
            for variant in &read_wire(&Document::from_yaml(&before).unwrap()).experiments[0].variants {
                if wanted.iter().all(|(id, _)| *id != variant.id) {
                    write!(args, " --remove {}", variant.id).unwrap();
                }
            }
            let ran = bench.run(&args);
            prop_assert_eq!(ran.code, 0, "{}: {}\n{}", args, ran.all(), before);
            let (old, new) = (owners(&before), owners(&bench.read("c.yaml")));
            let moved = old.iter().zip(&new).filter(|(a, b)| a != b).count();
            let mut ids: Vec<&String> = old.iter().collect();
            ids.sort_unstable();
            ids.dedup();
            let bound: usize =
                ids.into_iter().map(|id| counts(&old, id).saturating_sub(counts(&new, id))).sum();
            prop_assert_eq!(moved, bound);
            let total: u32 = wanted.iter().map(|(_, weight)| weight).sum();
            for (id, weight) in &wanted {
                let exact = f64::from(*weight) / f64::from(total) * 10_000.0;
                prop_assert!((counts(&new, id) as f64 - exact).abs() < 1.0, "{}", id);
            }
        }
    }
}
