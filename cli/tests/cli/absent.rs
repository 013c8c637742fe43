use crate::support::Bench;

/// A command that is left out says which feature brings it, whatever its arguments.
#[test]
fn a_command_that_is_left_out_names_its_feature() {
    let mut left_out = Vec::new();
    if !cfg!(feature = "analysis") {
        left_out.extend([("analyze", "analysis"), ("report", "analysis"), ("compact", "analysis")]);
    }
    if !cfg!(feature = "host") {
        left_out.extend([("test", "host"), ("dev", "host"), ("render google", "host")]);
    }
    assert!(!left_out.is_empty());
    let bench = Bench::new(&[]);
    for (command, feature) in left_out {
        let ran = bench.run(&format!("{command} --config splitway.yaml --anything"));
        assert_eq!(ran.code, 2, "{}", ran.all());
        assert!(ran.err.contains(&format!("leaves out `{command}`")), "{}", ran.all());
        assert!(ran.err.contains(&format!("--features {feature}")), "{}", ran.all());
    }
}
