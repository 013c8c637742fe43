//! One HTML page that says it all, and needs no network.
//!
//! Text and inline SVG, no script: it can be mailed, archived and printed. Shapes and words carry every meaning that a
//! colour has.

mod html;
mod options;
mod plot;

use std::fmt::{self, Write as _};

use splitway_stats::Interval;

use crate::judge::{
    Comparison, Effect, Guard, Judgement, Method, MetricResult, Planning, Verdict, date, level, probability,
};
use crate::metric::Role;
use crate::sql::Dialect;
use crate::{Analysis, Error, Request, query};
pub(crate) use html::escape;

/// Returns `analysis`, made of `request`, as one HTML page.
///
/// # Errors
/// As [`crate::query`], whose SQL the page shows.
pub fn page(request: &Request<'_>, analysis: &Analysis) -> Result<String, Error> {
    let sql = query(request, Dialect::DataFusion)?;
    let mut html = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut html, request, analysis, &sql);
    Ok(html)
}

fn write_page(html: &mut String, request: &Request<'_>, analysis: &Analysis, sql: &str) -> fmt::Result {
    let title = escape(request.config.plan.namespace());
    let experiments = &analysis.experiments;
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}: experiments</title>\n<style>{}</style>\n</head>\n<body>\n<h1>Experiments of {title}</h1>\n<p class=\"dim\">config <code>{}</code></p>\n",
        include_str!("style.css"),
        escape(&analysis.config)
    )?;
    html.push_str("<table class=\"summary\"><thead><tr><th>experiment</th><th>verdict</th><th>why</th></tr></thead><tbody>\n");
    for found in experiments {
        let id = escape(&found.experiment);
        let why = found.reasons.first().map(ToString::to_string).unwrap_or_default();
        writeln!(
            html,
            "<tr><td><a href=\"#{id}\">{id}</a></td><td>{}</td><td>{}</td></tr>",
            badge(found.verdict),
            escape(&why)
        )?;
    }
    html.push_str("</tbody></table>\n");
    for found in experiments {
        experiment(html, found)?;
    }
    html.push_str("<section><h2>Data</h2>\n<ul>");
    let inputs = analysis.inputs();
    for (input, examples) in &inputs {
        write!(html, "<li>{}", escape(input))?;
        for example in *examples {
            write!(html, "<br><code>{}</code>", escape(example))?;
        }
        html.push_str("</li>");
    }
    if inputs.is_empty() {
        html.push_str("<li>read as Parquet, or as a summary made elsewhere</li>");
    }
    html.push_str("</ul>\n");
    for (name, units) in &analysis.unknown_experiments {
        writeln!(
            html,
            "<p><b>{}</b> is in the log but not in the config: {} units passed over.</p>",
            escape(name),
            thousands(*units)
        )?;
    }
    html.push_str("<h3>Options of the analysis</h3>\n<table><tbody>\n");
    for (name, value) in options::options(request) {
        writeln!(html, "<tr><td>{}</td><td>{}</td></tr>", escape(&name), escape(&value))?;
    }
    html.push_str("</tbody></table>\n");
    write!(
        html,
        "<details><summary>The reduction, as SQL</summary><pre>{}</pre></details></section>\n{}</body>\n</html>\n",
        escape(sql),
        include_str!("method.html")
    )
}

fn experiment(html: &mut String, found: &Judgement) -> fmt::Result {
    let id = escape(&found.experiment);
    let about = found
        .treatment
        .as_ref()
        .map_or(String::new(), |t| format!(" <span class=\"dim\">({})</span>", escape(t)));
    writeln!(html, "<section id=\"{id}\"><h2>{id}: {}{about}</h2>\n<ul>", badge(found.verdict))?;
    for reason in &found.reasons {
        writeln!(html, "<li>{}</li>", escape(&reason.to_string()))?;
    }
    html.push_str("</ul>\n");
    for remark in &found.remarks {
        writeln!(html, "<p class=\"dim\">Note: {}.</p>", escape(&remark.to_string()))?;
    }
    sample(html, found)?;
    let is_valid = found.verdict != Verdict::Invalid;
    html.push_str(if is_valid { "<div>\n" } else { "<div class=\"muted\">\n" });
    html.push_str("<h3>Lifts</h3>\n");
    if !is_valid {
        html.push_str("<p><b>The data are not to be believed, for the reasons above: these numbers say nothing about the treatment, and none is marked as better or worse.</b></p>\n");
    }
    lifts(html, found, is_valid)?;
    series(html, found)?;
    segments(html, found)?;
    plans(html, found)?;
    html.push_str("</div>\n");
    quality(html, found)?;
    html.push_str("</section>\n");
    Ok(())
}

fn sample(html: &mut String, found: &Judgement) -> fmt::Result {
    html.push_str("<h3>Sample</h3>\n<table><thead><tr><th>variant</th><th class=\"n\">units</th><th class=\"n\">share</th><th class=\"n\">planned</th></tr></thead><tbody>\n");
    for arm in &found.arms {
        writeln!(
            html,
            "<tr><td>{}{}</td><td class=\"n\">{}</td><td class=\"n\">{:.2} %</td><td class=\"n\">{:.2} %</td></tr>",
            escape(&arm.variant),
            if arm.is_control && arm.variant != "control" { " (control)" } else { "" },
            thousands(arm.units),
            arm.observed * 100.0,
            arm.planned * 100.0
        )?;
    }
    html.push_str("</tbody></table>\n");
    let ratio = &found.sample_ratio;
    if let Some(p) = ratio.p {
        let sequential =
            ratio.p_sequential.map_or(String::new(), |p| format!(", at every look {}", probability(p)));
        writeln!(
            html,
            "<p>Sample ratio: p = {}{sequential}; {} parts tested on their own, {} of them off.</p>",
            probability(p),
            ratio.tested,
            ratio.mismatches.len()
        )?;
    }
    Ok(())
}

/// The interval that decides, relative where there is one, in percent.
fn lifts(html: &mut String, found: &Judgement, is_valid: bool) -> fmt::Result {
    let mut rows = Vec::new();
    let mut table = String::new();
    for metric in &found.metrics {
        let role = role(metric.role);
        let less = match (metric.is_lower_better, metric.role) {
            (Some(true), _) => ", less is better",
            (None, Role::Guardrail) => ", nobody said which way is better",
            _ => "",
        };
        let name = format!(
            "{} <span class=\"dim\">{role}{less}<br><code>{}</code></span>",
            escape(&metric.name),
            escape(&metric.formula)
        );
        if let Some(problem) = &metric.problem {
            writeln!(
                table,
                "<tr><td>{name}</td><td colspan=\"6\">{}</td></tr>",
                escape(&problem.to_string())
            )?;
        }
        for unmeasured in &metric.unmeasured {
            let (treatment, problem) =
                (escape(&unmeasured.treatment), escape(&unmeasured.problem.to_string()));
            writeln!(table, "<tr><td>{name}</td><td>{treatment}</td><td colspan=\"5\">{problem}</td></tr>")?;
        }
        for c in &metric.comparisons {
            let (interval, relative, p) = (c.interval, c.relative_interval, c.p);
            let says = if is_valid { says(metric, c) } else { "" };
            let value = |variant: &str| metric.values.iter().find(|v| v.variant == variant);
            let control = found.arms.iter().find(|arm| arm.is_control).and_then(|arm| value(&arm.variant));
            let standing = value(&c.treatment).and_then(|v| v.standing).filter(|_| is_valid);
            let best = standing.map_or("-".to_owned(), |s| format!("{:.1} %", s.probability_best * 100.0));
            let loss = standing.map_or("-".to_owned(), |s| number(s.expected_loss));
            let adjusted = c.p_adjusted.map_or(String::new(), |p| {
                format!("<br><span class=\"dim\">{} adjusted</span>", probability(p))
            });
            writeln!(
                table,
                "<tr><td>{name}</td>{}{}{}{}{}{}</tr>",
                cell("treatment", "", &escape(&c.treatment)),
                cell("control", "n", &control.map_or("-".to_owned(), |v| format!("{:.5}", v.value))),
                cell("lift", "n", &spanned(c.fixed.absolute, interval)),
                cell("p", "n", &format!("{}{adjusted}", probability(p))),
                cell("best", "n", &best),
                cell("expected loss", "n", &loss),
            )?;
            if let (Some(centre), Some(interval)) = (c.fixed.relative, relative) {
                let label = format!("{}, {}", metric.name, c.treatment);
                rows.push(plot::Row {
                    label,
                    note: says,
                    centre: centre * 100.0,
                    low: interval.low * 100.0,
                    high: interval.high * 100.0,
                });
            }
        }
    }
    let hold = found.method.holds();
    if !rows.is_empty() {
        let caption = format!(
            "Relative change against the control in percent, with {} % intervals that hold {hold}",
            level(found.alpha)
        );
        plot::intervals(html, &rows, &caption)?;
    }
    write!(
        html,
        "<table class=\"stack\"><thead><tr><th>metric</th><th>treatment</th><th class=\"n\">control</th><th class=\"n\">lift</th><th class=\"n\">p</th><th class=\"n\">best</th><th class=\"n\">expected loss</th></tr></thead><tbody>\n{table}</tbody></table>\n<p class=\"dim\">Lift: treatment − control, with the {} % interval that decides; it holds {hold}. Best: probability that no other variant is better. Expected loss: what choosing this variant costs on average if another is better, in the metric's unit.</p>\n",
        level(found.alpha)
    )?;
    if found.metrics.iter().flat_map(|metric| &metric.comparisons).any(|c| c.p_adjusted.is_some()) {
        html.push_str("<p class=\"dim\">Adjusted: p by Benjamini and Hochberg's procedure over all secondary metrics, against finding something just because there are many of them.</p>\n");
    }
    let removed =
        found.metrics.iter().flat_map(|m| m.comparisons.iter().map(move |c| (m, c.variance_removed)));
    for (metric, share) in removed.filter(|(_, share)| *share > 0.0) {
        writeln!(
            html,
            "<p class=\"dim\">CUPED took {:.1} % of the variance of {}.</p>",
            share * 100.0,
            escape(&metric.name)
        )?;
    }
    Ok(())
}

fn series(html: &mut String, found: &Judgement) -> fmt::Result {
    for metric in found.metrics.iter().filter(|metric| metric.role != Role::Secondary) {
        for c in metric.comparisons.iter().filter(|c| c.series.len() > 1) {
            let points: Vec<plot::Point> = c
                .series
                .iter()
                .map(|p| plot::Point {
                    label: date(p.day),
                    value: p.absolute,
                    low: p.interval.low,
                    high: p.interval.high,
                })
                .collect();
            let caption = format!(
                "{} ({}), {} - control, of the units first seen up to each day, with their outcomes known now (on that day itself fewer were). The band holds the truth on all days at once.",
                metric.name,
                role(metric.role),
                c.treatment
            );
            plot::series(html, &points, &caption)?;
        }
    }
    Ok(())
}

fn segments(html: &mut String, found: &Judgement) -> fmt::Result {
    for metric in found.metrics.iter().filter(|metric| metric.role == Role::Primary) {
        for c in metric.comparisons.iter().filter(|c| !c.segments.is_empty()) {
            writeln!(
                html,
                "<h3>{} of {} by segment</h3>\n<table class=\"stack\"><thead><tr><th>segment</th><th class=\"n\">units</th><th class=\"n\">lift</th><th class=\"n\">p, adjusted</th></tr></thead><tbody>",
                escape(&metric.name),
                escape(&c.treatment)
            )?;
            for s in &c.segments {
                let name = if s.segment.is_empty() { "(none)".to_owned() } else { escape(&s.segment) };
                writeln!(
                    html,
                    "<tr><td>{name}</td>{}{}{}</tr>",
                    cell("units", "n", &thousands(s.units)),
                    cell("lift", "n", &spanned(s.absolute, s.interval)),
                    cell("p, adjusted", "n", &probability(s.p_adjusted))
                )?;
            }
            writeln!(
                html,
                "</tbody></table>\n<p class=\"dim\">Segments do not decide. Their {} % intervals are each for a single segment and hold {}; p is theirs, adjusted over the segments (Benjamini-Hochberg).</p>",
                level(found.alpha),
                found.method.holds()
            )?;
        }
    }
    Ok(())
}

/// What the traffic finds, and when.
fn plans(html: &mut String, found: &Judgement) -> fmt::Result {
    for metric in found.metrics.iter().filter(|metric| metric.role == Role::Primary) {
        for c in &metric.comparisons {
            if let Some(plan) = &c.plan {
                power(html, &metric.name, &c.treatment, plan, &found.method)?;
            }
        }
    }
    Ok(())
}

fn power(html: &mut String, metric: &str, treatment: &str, plan: &Planning, method: &Method) -> fmt::Result {
    let is_planned = matches!(method, Method::Planned { .. });
    writeln!(
        html,
        "<h3>Power: {} of {}</h3>\n<p>{} units a day over {} days. By intervals that hold {}, the units {} find {:+.5} with probability {}, at level {}.</p>\n<table><thead><tr><th class=\"n\">effect</th><th class=\"n\">relative</th><th class=\"n\">units in the control</th><th class=\"n\">days</th></tr></thead><tbody>",
        escape(metric),
        escape(treatment),
        thousands(plan.daily),
        plan.days,
        method.holds(),
        if is_planned { "that were planned" } else { "so far" },
        plan.detectable,
        plan.power,
        plan.alpha
    )?;
    for row in &plan.rows {
        let relative = if plan.baseline == 0.0 {
            "-".to_owned()
        } else {
            format!("{:+.2} %", row.effect / plan.baseline.abs() * 100.0)
        };
        let mark = if plan.wanted == Some(row.effect) {
            "<br><span class=\"dim\">(the config's)</span>"
        } else {
            ""
        };
        writeln!(
            html,
            "<tr>{}{}{}{}</tr>",
            cell("effect", "n", &format!("{:+.5}{mark}", row.effect)),
            cell("relative", "n", &relative),
            cell("units in the control", "n", &thousands(row.control)),
            cell("days", "n", &thousands(row.days))
        )?;
    }
    html.push_str("</tbody></table>\n");
    if is_planned {
        // Its units are those of the last look, not of a day.
        return Ok(());
    }
    let wanted = plan.rows.iter().find(|row| plan.wanted == Some(row.effect)).map_or(0.0, |row| row.days);
    // To twice of what is needed or was seen, but no further than what the eye can still tell apart.
    let end = (2.0 * plan.days.max(wanted)).clamp(4.0, 20.0 * plan.days.max(4.0));
    let points: Vec<(f64, f64)> = (0..=60)
        .map(|at| end * (0.05 + 0.95 * f64::from(at) / 60.0))
        .map(|day| (day, plan.after(day)))
        .collect();
    // One far above the curve would leave nothing of it to see.
    let wanted = plan.wanted.filter(|wanted| *wanted < 8.0 * plan.detectable);
    let caption = format!(
        "The smallest effect on {metric} that is found with probability {} by the day on the axis; the dot is today{}.",
        plan.power,
        if wanted.is_some() { ", the dashed line the config's smallest effect" } else { "" }
    );
    plot::falling(html, &points, (plan.days, plan.detectable), wanted, &caption)
}

fn quality(html: &mut String, found: &Judgement) -> fmt::Result {
    let Some(i) = &found.integrity else {
        html.push_str("<h3>Log</h3><p>Made from a summary: the log was not looked at.</p>\n");
        return Ok(());
    };
    html.push_str("<h3>Log</h3>\n<table><tbody>\n");
    for (what, count) in [
        ("exposures analysed", i.exposures as f64),
        ("compared with the config by their bucket", i.replayed as f64),
        ("of these with another variant", i.wrong_variant as f64),
        ("units put through the engine again", i.units_replayed as f64),
        ("of these with another variant", i.units_wrong as f64),
        ("exposures of unknown variants", i.unknown_variant as f64),
        ("wrong among other configs'", i.wrong_in_others as f64),
        ("exposures of other configs", i.other_versions.values().sum::<u64>() as f64),
        ("overrides left out", i.overrides as f64),
        ("held out or not taken in", i.other_reasons.values().sum::<u64>() as f64),
        ("units left out as bots or by name", i.excluded_units as f64),
        ("units in more than one variant", found.units_in_two_variants),
        ("silent hours", i.silent_hours.len() as f64),
    ] {
        writeln!(html, "<tr><td>{what}</td><td class=\"n\">{}</td></tr>", thousands(count))?;
    }
    html.push_str("</tbody></table>\n");
    if !i.silent_hours.is_empty() {
        writeln!(
            html,
            "<p>Without a single exposure, as if the log was lost (UTC): {}.</p>",
            spans(&i.silent_hours).join("; ")
        )?;
    }
    Ok(())
}

/// Hours since 1970, ascending, as spans of time: from the first hour's begin to the last one's end.
fn spans(hours: &[i64]) -> Vec<String> {
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for hour in hours {
        match joined.last_mut() {
            Some((_, end)) if *end == *hour => *end += 1,
            _ => joined.push((*hour, hour + 1)),
        }
    }
    let time = |hour: i64| format!("{} {:02}:00", date(hour.div_euclid(24)), hour.rem_euclid(24));
    let span = |(from, to): (i64, i64)| match from.div_euclid(24) == to.div_euclid(24) {
        true => format!("{} to {:02}:00", time(from), to.rem_euclid(24)),
        false => format!("{} to {}", time(from), time(to)),
    };
    joined.into_iter().map(span).collect()
}

/// A cell of a table that becomes a list on a narrow screen, where its column's name stands before it.
fn cell(column: &str, class: &str, content: &str) -> String {
    format!("<td class=\"{class}\" data-column=\"{column}\"><span>{content}</span></td>")
}

/// A lift over its interval.
fn spanned(lift: f64, interval: Interval) -> String {
    format!("{lift:+.5}<br><span class=\"dim\">{:+.5} to {:+.5}</span>", interval.low, interval.high)
}

/// Five digits after the point, or as many as it takes to see something.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:.1e}") } else { format!("{value:.5}") }
}

fn says(metric: &MetricResult, c: &Comparison) -> &'static str {
    if c.doubt.is_some() {
        return "too few units, or an arm without variance";
    }
    if metric.role == Role::Guardrail && c.effect != Effect::Better {
        return match metric.guards(c) {
            Guard::Broken => "broken",
            Guard::Moved => "moved",
            Guard::Possible => "may be more than allowed",
            Guard::Within => "within its margin",
            Guard::Unharmed => "no harm seen",
        };
    }
    match c.effect {
        Effect::Better => "better",
        Effect::Worse => "worse",
        Effect::Moved => "moved",
        Effect::Unclear => "unclear",
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Guardrail => "guardrail",
        Role::Primary => "primary",
        Role::Secondary => "secondary",
    }
}

fn badge(verdict: Verdict) -> String {
    let (class, mark) = match verdict {
        Verdict::Ship => ("ship", "✓"),
        Verdict::DoNotShip => ("stop", "✗"),
        Verdict::Inconclusive => ("open", "?"),
        Verdict::Invalid => ("stop", "!"),
    };
    format!("<span class=\"badge {class}\">{mark} {}</span>", verdict.as_str())
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_joined_to_spans() {
        // 2026-11-21T00:00Z is hour 498,840.
        let day = 20_778 * 24;
        assert_eq!(
            spans(&[day + 3, day + 4, day + 7, day + 22, day + 23, day + 24]),
            [
                "2026-11-21 03:00 to 05:00",
                "2026-11-21 07:00 to 08:00",
                "2026-11-21 22:00 to 2026-11-22 01:00"
            ]
        );
        assert!(spans(&[]).is_empty());
    }
}
