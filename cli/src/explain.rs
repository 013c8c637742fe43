//! `splitway explain`.

use std::path::PathBuf;

use clap::Args;
use splitway_engine::guardrail::Tripped;
use splitway_engine::{Explanation, Plan, RequestView, Timestamp, VariantId, did_you_mean};

use crate::input;
use crate::outcome::{Failure, Outcome, print, print_answer};
use crate::style::Style;
use crate::values::{Question, pair};

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Method of the request
    #[arg(long, default_value = "GET")]
    method: String,
    /// Path of the request, with its query
    #[arg(long, default_value = "/")]
    path: String,
    /// Host of the request
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Header of the request; may be repeated
    #[arg(long, value_name = "K:V", value_parser = |text: &str| pair(text, ':'))]
    header: Vec<(String, String)>,
    /// Cookie of the request; may be repeated
    #[arg(long, value_name = "K=V", value_parser = |text: &str| pair(text, '='))]
    cookie: Vec<(String, String)>,
    /// Treat this variant as switched off by a guardrail; may be repeated
    #[arg(long, value_name = "EXPERIMENT/VARIANT", value_parser = |text: &str| pair(text, '/'))]
    tripped: Vec<(String, String)>,
    #[command(flatten)]
    asked: Question,
}

pub(crate) fn run(args: &Explain) -> Outcome {
    let plan = input::plan(&args.config)?;
    let asked = Asked {
        method: &args.method,
        path: &args.path,
        host: &args.host,
        headers: &args.header,
        cookies: &args.cookie,
    };
    let (headers, left_out) = asked.headers(&plan);
    for name in left_out {
        eprintln!("{name} is left out: {WHY_LEFT_OUT}");
    }
    let tripped = tripped(&plan, &args.tripped)?;
    let explanation = explain(&plan, &headers, &tripped, input::at(args.asked.at));
    if args.asked.json { print_answer(&explanation) } else { print(&coloured(&explanation)) }
}

/// Why a header of a request that is asked about is not looked at.
pub(crate) const WHY_LEFT_OUT: &str = "only the proxy sets it, and copies from clients are removed";

/// A request that somebody asks about.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) host: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) cookies: &'a [(String, String)],
}

impl Asked<'_> {
    /// Its headers as the engine sees them, and the names of those that the filter would remove.
    pub(crate) fn headers(&self, plan: &Plan) -> (Vec<(String, String)>, Vec<String>) {
        let mut headers: Vec<(String, String)> = vec![
            (":method".to_owned(), self.method.to_owned()),
            (":path".to_owned(), self.path.to_owned()),
            (":authority".to_owned(), self.host.to_owned()),
        ];
        let mut left_out = Vec::new();
        for (name, value) in self.headers {
            let name = name.to_ascii_lowercase();
            if plan.is_ours(name.as_bytes()) {
                left_out.push(name);
            } else {
                headers.push((name, value.clone()));
            }
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.push(("cookie".to_owned(), pairs.join("; ")));
        }
        (headers, left_out)
    }
}

/// The variants of these names as those that a guardrail has taken out.
fn tripped(plan: &Plan, names: &[(String, String)]) -> Result<Tripped, Failure> {
    let unknown = |what: &str, name: &str, known: &mut dyn Iterator<Item = &str>| {
        let advice = did_you_mean(name, known).map(|near| format!("; did you mean `{near}`?"));
        Failure::Usage(format!("no {what}{}", advice.unwrap_or_default()))
    };
    let mut tripped = Tripped::default();
    for (name, variant) in names {
        let mut all = plan.experiments();
        let (id, experiment) = all.find(|(_, experiment)| experiment.id() == name).ok_or_else(|| {
            unknown(
                &format!("experiment `{name}`"),
                name,
                &mut plan.experiments().map(|(_, experiment)| experiment.id()),
            )
        })?;
        let known = || experiment.variants().iter().map(|variant| variant.id());
        let index = (0..).zip(known()).find(|(_, known)| known == variant).map(|(index, _)| VariantId(index));
        let index = index
            .ok_or_else(|| unknown(&format!("variant `{variant}` in `{name}`"), variant, &mut known()))?;
        if !plan.guardrails().iter().any(|rail| rail.experiment() == id && rail.enforces()) {
            eprintln!("`{name}` has no guardrail that switches variants off; this shows what one would do");
        }
        tripped.add(id, index);
    }
    Ok(tripped)
}

/// Every step for a request with these headers, some variants being off.
pub(crate) fn explain(
    plan: &Plan,
    headers: &[(String, String)],
    tripped: &Tripped,
    at: Timestamp,
) -> Explanation {
    let pairs: Vec<(&[u8], &[u8])> =
        headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    plan.explain(&RequestView::new(&pairs).with_tripped(tripped), at).1
}

/// Outcomes stand out.
fn coloured(explanation: &Explanation) -> String {
    let style = Style::stdout();
    let line = |line: &str| if line.starts_with("=>") { style.bold(line) } else { line.to_owned() };
    explanation.to_string().lines().map(line).collect::<Vec<_>>().join("\n")
}
