//! The form that asks about a request, and the explanation it gets: first what holds for the request, then each
//! experiment with its own steps.

use std::fmt::Write as _;

use splitway_engine::{ExplainedStep, Plan};

use super::Escaped;
use super::question::{Answer, Question};
use crate::dev::App;
use crate::explain::WHY_LEFT_OUT;

pub(super) fn ask(html: &mut String, app: &App, question: &Question) {
    let _ = write!(
        html,
        "<section id=\"explain\"><h2>Explain a request</h2>\n<div class=\"card\">\n\
         <form id=\"ask\" action=\"/__splitway#explain\">\n\
         <label>method<input name=\"method\" value=\"{}\" autocomplete=\"off\"></label>\n\
         <label class=\"wide\">path<input name=\"path\" value=\"{}\" autocomplete=\"off\"></label>\n\
         <label class=\"headers\">headers, one a line<textarea name=\"headers\" placeholder=\"x-user-id: user-1\">{}</textarea></label>\n\
         <label>cookies, one a line<textarea name=\"cookies\" placeholder=\"uid=user-1\">{}</textarea></label>\n\
         <label class=\"headers\">time (now if empty)<input name=\"at\" value=\"{}\" placeholder=\"2026-12-01T00:00:00Z\" autocomplete=\"off\"></label>\n\
         <button class=\"go\">Explain</button>\n</form>\n<div id=\"answer\">",
        Escaped(&question.method),
        Escaped(&question.path),
        Escaped(&question.headers),
        Escaped(&question.cookies),
        Escaped(&question.at),
    );
    if question.is_asked {
        match question.answer(app) {
            Ok(answer) => explanation(html, &answer, &app.running().config.plan),
            Err(why) => {
                let _ = write!(html, "<div class=\"banner bad\">{}</div>", Escaped(&why));
            }
        }
    }
    html.push_str("</div></div></section>\n");
}

fn explanation(html: &mut String, answer: &Answer, plan: &Plan) {
    for name in &answer.left_out {
        let _ = write!(
            html,
            "<div class=\"banner warn\"><code>{}</code> is left out: {}</div>",
            Escaped(name),
            Escaped(WHY_LEFT_OUT)
        );
    }
    let all = &answer.explanation.steps;
    html.push_str("<div class=\"group\"><h4>Request</h4>");
    steps(html, all.iter().filter(|step| subject(step) == Subject::Request));
    html.push_str("</div>\n");
    // Those that were entered come first; the others are folded.
    for wanted in [true, false] {
        for step in all {
            if let ExplainedStep::Outcome { experiment, variant, .. } = step
                && variant.is_some() == wanted
            {
                group(html, all, step, experiment, plan);
            }
        }
    }
    let stamp = answer.explanation.stamp.as_deref().unwrap_or("not sent");
    let _ = write!(
        html,
        "<div class=\"group\"><ol class=\"steps\"><li><span class=\"what\">x-splitway</span><code>{}</code></li></ol></div>\n\
         <p class=\"soft\">at {}, config <code>{}</code></p>",
        Escaped(stamp),
        Escaped(&answer.explanation.at),
        Escaped(&answer.explanation.config)
    );
}

/// An experiment with its outcome, and the steps that led to it.
fn group(html: &mut String, all: &[ExplainedStep], outcome: &ExplainedStep, name: &str, plan: &Plan) {
    let ExplainedStep::Outcome { variant, bucket, range, reason, why, .. } = outcome else { return };
    let layer = plan.find(name).and_then(|(_, experiment)| plan.layer(experiment.layer()));
    let layer = layer.map_or("", |layer| layer.id());
    let is_ours = |step: &&ExplainedStep| match subject(step) {
        Subject::Request => false,
        Subject::Layer(id) => id == layer,
        Subject::Experiment(id) => id == name,
    };
    let (open, class, what) = match variant {
        Some(variant) => (" open", "entered", format!("=<b>{}</b>", Escaped(variant))),
        None => ("", "soft", " not entered".to_owned()),
    };
    let _ = write!(
        html,
        "<details class=\"group\" data-key=\"step {name}\"{open}><summary><h4 class=\"{class}\">{name}{what}</h4>\
         <span class=\"soft\">{}: {}</span></summary>",
        reason.replace('_', " "),
        Escaped(why),
        name = Escaped(name),
    );
    steps(html, all.iter().filter(is_ours));
    if let (Some(_), Some(bucket)) = (variant, bucket) {
        let _ = write!(
            html,
            "<ol class=\"steps\"><li><span class=\"what\">variant</span><span>bucket {bucket}{}</span></li></ol>",
            within(*range)
        );
    }
    html.push_str("</details>\n");
}

/// What a step is about.
#[derive(PartialEq, Eq)]
enum Subject<'s> {
    Request,
    Layer(&'s str),
    Experiment(&'s str),
}

fn subject(step: &ExplainedStep) -> Subject<'_> {
    match step {
        ExplainedStep::KillSwitch
        | ExplainedStep::Barred { .. }
        | ExplainedStep::Minted
        | ExplainedStep::Unit { .. }
        | ExplainedStep::Token { .. }
        | ExplainedStep::Holdout { .. } => Subject::Request,
        ExplainedStep::Layer { layer, .. } => Subject::Layer(layer),
        ExplainedStep::Traffic { experiment, .. }
        | ExplainedStep::Targeting { experiment, .. }
        | ExplainedStep::Outcome { experiment, .. } => Subject::Experiment(experiment),
    }
}

fn steps<'s>(html: &mut String, steps: impl Iterator<Item = &'s ExplainedStep>) {
    html.push_str("<ol class=\"steps\">");
    for step in steps {
        if let Some((what, text)) = words(step) {
            let text = Escaped(&text);
            let _ = write!(html, "<li><span class=\"what\">{what}</span><span>{text}</span></li>");
        }
    }
    html.push_str("</ol>");
}

/// What was looked at, and what was found; `None` for an outcome, which is its group's heading.
fn words(step: &ExplainedStep) -> Option<(&'static str, String)> {
    Some(match step {
        ExplainedStep::KillSwitch => ("kill switch", "on".to_owned()),
        ExplainedStep::Barred { reason } => ("barred", reason.replace('_', " ")),
        ExplainedStep::Minted => ("unit", "a new one is minted for this request".to_owned()),
        ExplainedStep::Unit { found_in: Some(source), unit: Some(unit), .. } => {
            ("unit", format!("`{unit}` from {source}"))
        }
        ExplainedStep::Unit { looked_in, .. } => ("unit", format!("none in {}", looked_in.join(", "))),
        ExplainedStep::Token { outcome } => ("QA token", outcome.replace('_', " ")),
        ExplainedStep::Holdout { holdout, bucket, below, held_out } => {
            let word = if *held_out { "held out" } else { "not held out" };
            ("holdout", format!("{holdout}: bucket {bucket} is {word}; those below {below} are"))
        }
        ExplainedStep::Layer { layer, bucket, range, owner } => {
            let owner = match owner {
                Some(owner) => format!("owned by {owner}"),
                None => "owned by no experiment".to_owned(),
            };
            ("layer", format!("{layer}: bucket {bucket}{}, {owner}", within(*range)))
        }
        ExplainedStep::Traffic { position, active, owned, .. } => (
            "traffic",
            format!("position {position} of {owned} owned buckets; those below {active} are active"),
        ),
        ExplainedStep::Targeting { eligible: true, .. } => {
            ("targeting", "the request is eligible".to_owned())
        }
        ExplainedStep::Targeting { eligible: false, .. } => {
            ("targeting", "the request is not eligible".to_owned())
        }
        ExplainedStep::Outcome { .. } => return None,
    })
}

fn within(range: Option<[u32; 2]>) -> String {
    range.map(|[first, last]| format!(", in {first} to {last}")).unwrap_or_default()
}
