//! `splitway explain`.

use splitway_engine::{Explanation, RequestView};

use crate::args::Explain;
use crate::input;
use crate::outcome::{Outcome, print, print_json};
use crate::style::Style;

pub(crate) fn run(args: &Explain) -> Outcome {
    let plan = input::plan(&args.config)?;
    let mut headers: Vec<(String, String)> = vec![
        (":method".to_owned(), args.method.clone()),
        (":path".to_owned(), args.path.clone()),
        (":authority".to_owned(), args.host.clone()),
    ];
    for (name, value) in &args.header {
        let name = name.to_ascii_lowercase();
        if plan.is_ours(name.as_bytes()) {
            eprintln!("{name} is left out: only the proxy sets it, clients' copies are removed");
        } else {
            headers.push((name, value.clone()));
        }
    }
    if !args.cookie.is_empty() {
        let pairs: Vec<String> = args.cookie.iter().map(|(name, value)| format!("{name}={value}")).collect();
        headers.push(("cookie".to_owned(), pairs.join("; ")));
    }
    let pairs: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let (_, explanation) = plan.explain(&RequestView::new(&pairs), input::at(args.asked.at));
    if args.asked.json { print_json(&explanation) } else { print(&coloured(&explanation)) }
}

/// Outcomes stand out.
fn coloured(explanation: &Explanation) -> String {
    let style = Style::stdout();
    let line = |line: &str| if line.starts_with("=>") { style.bold(line) } else { line.to_owned() };
    explanation.to_string().lines().map(line).collect::<Vec<_>>().join("\n")
}
