//! An experiment: what the config says about it, and how the plan and the counts compare.

use std::fmt::Write as _;

use super::Escaped;
use crate::dev::state::{ExperimentState, GuardrailState, Harm, VariantState};
use crate::plural::counted;

/// A card, folded if nobody entered the experiment though there were `requests`, or nobody can.
pub(super) fn experiment(html: &mut String, experiment: &ExperimentState, requests: u64) {
    let is_open = experiment.requests > 0 || (experiment.is_live && requests == 0);
    let chip = if experiment.is_live { "on" } else { "off" };
    let now = if experiment.is_live { "" } else { ", takes no units now" };
    let _ = write!(
        html,
        "<details class=\"card experiment\" data-key=\"card {id}\"{open}><summary><h3>{id}</h3>\
         <span class=\"chip {chip}\">{status}{now}</span>",
        id = Escaped(&experiment.id),
        open = if is_open { " open" } else { "" },
        status = experiment.status.replace('_', " "),
    );
    for variant in &experiment.variants {
        if let Some(harm) = variant.harm {
            let (class, what) = match harm {
                Harm::Tripped => ("bad", "switched off"),
                Harm::Observed => ("warn", "would be switched off"),
            };
            let _ = write!(html, "<span class=\"chip {class}\">{} {what}</span>", Escaped(&variant.id));
        }
    }
    if let Some(name) = &experiment.name {
        let _ = write!(html, "<span class=\"name\">{}</span>", Escaped(name));
    }
    left_out(html, experiment);
    html.push_str("</summary>\n");
    facts(html, experiment);
    variants(html, experiment);
    if experiment.differs {
        html.push_str(
            "<div class=\"banner warn\">The split of the units differs from the plan more than chance \
             explains (p &lt; 0.001).</div>\n",
        );
    }
    html.push_str("</details>\n");
}

fn left_out(html: &mut String, experiment: &ExperimentState) {
    if experiment.left_out.is_empty() {
        return;
    }
    let total: u64 = experiment.left_out.values().sum();
    let reasons: Vec<String> = experiment
        .left_out
        .iter()
        .map(|(reason, count)| format!("{count}&nbsp;{}", reason.replace('_', "&nbsp;")))
        .collect();
    let _ = write!(
        html,
        "<span class=\"soft out\">{} did not enter: {}</span>",
        counted(total, "request"),
        reasons.join(", ")
    );
}

/// One fact of the list under a card's title.
fn fact(html: &mut String, name: &str, value: &str) {
    let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
}

/// A time, which is not broken over lines.
fn time(text: &str) -> String {
    format!("<time>{}</time>", Escaped(text))
}

fn facts(html: &mut String, experiment: &ExperimentState) {
    html.push_str("<dl class=\"facts\">");
    if let Some(hypothesis) = &experiment.hypothesis {
        fact(html, "hypothesis", &Escaped(hypothesis).to_string());
    }
    match (&experiment.owner, &experiment.team) {
        (Some(owner), Some(team)) => fact(html, "owner", &format!("{} ({})", Escaped(owner), Escaped(team))),
        (Some(owner), None) => fact(html, "owner", &Escaped(owner).to_string()),
        (None, Some(team)) => fact(html, "team", &Escaped(team).to_string()),
        (None, None) => {}
    }
    let mut layer = Escaped(&experiment.layer).to_string();
    if experiment.owned_buckets > 0 {
        let _ = write!(
            layer,
            ", {} of its {} buckets active",
            experiment.active_buckets, experiment.owned_buckets
        );
    }
    fact(html, "layer", &layer);
    if experiment.is_targeted {
        fact(html, "targeting", "only some requests are eligible");
    }
    let schedule = match (&experiment.start, &experiment.end) {
        (Some(start), Some(end)) => Some(format!("from {} until {}", time(start), time(end))),
        (Some(start), None) => Some(format!("from {} on", time(start))),
        (None, Some(end)) => Some(format!("until {}", time(end))),
        (None, None) => None,
    };
    if let Some(schedule) = schedule {
        fact(html, "schedule", &schedule);
    }
    if let Some(step) = &experiment.next_step {
        fact(html, "next ramp step", &format!("{} from {} on", Escaped(&step.traffic), time(&step.at)));
    }
    for holdout in &experiment.holdouts {
        let share = (holdout.share * 10_000.0).round() / 100.0;
        fact(html, "holdout", &format!("{}, {share}% of all units", Escaped(&holdout.id)));
    }
    for guardrail in &experiment.guardrails {
        fact(html, "guardrail", &rule(guardrail));
    }
    html.push_str("</dl>\n");
}

/// `http_5xx_rate: at most 1% above the control, else the variant is switched off`.
fn rule(guardrail: &GuardrailState) -> String {
    let mut text = guardrail.metric.to_owned();
    if let Some(limit) = &guardrail.slower_than {
        let _ = write!(text, " above {}", Escaped(limit));
    }
    let mut limits = Vec::new();
    if let Some(increase) = &guardrail.max_increase {
        limits.push(format!("at most {} more units than in the control", Escaped(increase)));
    }
    if let Some(max) = &guardrail.max {
        limits.push(format!("at most {} of the units", Escaped(max)));
    }
    if limits.is_empty() {
        limits.push("no more units than in the control".to_owned());
    }
    let action = if guardrail.enforces { "else the variant is switched off" } else { "else it is logged" };
    let _ = write!(text, ": {}, {action}", limits.join(" and "));
    text
}

fn variants(html: &mut String, experiment: &ExperimentState) {
    html.push_str(
        "<table class=\"variants\"><thead><tr><th>variant</th><th class=\"number\">planned</th>\
         <th class=\"number\">actual</th><th class=\"bar\">bar: actual, mark: planned</th><th class=\"number\">units</th>\
         <th class=\"number\">requests</th></tr></thead><tbody>\n",
    );
    for variant in &experiment.variants {
        row(html, variant);
    }
    html.push_str("</tbody></table>\n");
}

fn row(html: &mut String, variant: &VariantState) {
    let percent = |share: f64| share * 100.0;
    let actual = variant.actual.map_or("-".to_owned(), |share| format!("{:.1}%", percent(share)));
    let mut name = Escaped(&variant.id).to_string();
    if variant.is_control && variant.id != "control" {
        name.push_str(" <span class=\"soft\">control</span>");
    }
    if let Some(cluster) = &variant.cluster {
        let _ = write!(name, " <span class=\"soft\">&rarr;&nbsp;{}</span>", Escaped(cluster));
    }
    match variant.harm {
        None => {}
        Some(Harm::Tripped) => {
            name.push_str(" <span class=\"server\">a guardrail switched it off</span>");
        }
        Some(Harm::Observed) => {
            name.push_str(" <span class=\"client\">a guardrail would switch it off</span>");
        }
    }
    let _ = writeln!(
        html,
        "<tr><td class=\"path\">{name}</td><td class=\"number\">{:.1}%</td>\
         <td class=\"number\">{actual}</td><td class=\"bar\"><svg aria-hidden=\"true\">\
         <rect class=\"actual\" width=\"{:.2}%\" height=\"100%\"/>\
         <rect class=\"planned\" x=\"{:.2}%\" width=\"2\" height=\"100%\"/></svg></td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
        percent(variant.planned),
        percent(variant.actual.unwrap_or(0.0)),
        percent(variant.planned).min(99.8),
        variant.units,
        variant.requests,
    );
}
