//! `/__splitway`: the page, its state as JSON, and explanations.
//!
//! Rendered here whole, so that it works without script, there is one place that escapes, and the
//! script only puts fresh pieces in place.

use std::fmt::{self, Write as _};

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use splitway_engine::guardrail::Tripped;
use splitway_engine::{ExplainedStep, Explanation, Timestamp};

use super::App;
use super::board::Record;
use super::proxy::{Body, full, text};
use super::state::{Cluster, ExperimentState, State};
use crate::explain::{Asked, WHY_LEFT_OUT, explain};
use crate::input;

pub(super) const ROOT: &str = "/__splitway";
pub(super) const BELOW: &str = "/__splitway/";

/// Nothing from elsewhere, no script but the page's own, and no page around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers a request for the page or a part of it.
pub(super) fn serve(app: &App, request: &Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    let question = Question::read(request.uri().query().unwrap_or_default());
    let now = input::at(None);
    match request.uri().path().trim_end_matches('/') {
        ROOT => respond("text/html; charset=utf-8", page(app, &question, now)),
        "/__splitway/state.json" => json(&State::of(app, now)),
        "/__splitway/explain" => match question.answer(app) {
            Ok(answer) => json(&answer.explanation),
            Err(why) => {
                let mut response = json(&serde_json::json!({ "error": why }));
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        },
        "/__splitway/page.css" => respond("text/css", include_str!("page.css")),
        "/__splitway/page.js" => respond("text/javascript", include_str!("page.js")),
        _ => text(StatusCode::NOT_FOUND, "the page is at /__splitway\n"),
    }
}

fn respond(kind: &'static str, body: impl Into<hyper::body::Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}

fn json(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_string_pretty(value) {
        Ok(body) => respond("application/json", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// The form's fields, as they were sent.
struct Question {
    method: String,
    path: String,
    headers: String,
    cookies: String,
    at: String,
    is_asked: bool,
}

struct Answer {
    explanation: Explanation,
    left_out: Vec<String>,
}

impl Question {
    fn read(query: &str) -> Self {
        let mut question = Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: String::new(),
            cookies: String::new(),
            at: String::new(),
            is_asked: false,
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*key {
                "method" => &mut question.method,
                "path" => &mut question.path,
                "headers" => &mut question.headers,
                "cookies" => &mut question.cookies,
                "at" | "time" => &mut question.at,
                _ => continue,
            };
            *field = value.into_owned();
            question.is_asked = true;
        }
        question
    }

    fn answer(&self, app: &App) -> Result<Answer, String> {
        let path = self.path.trim();
        if !path.starts_with('/') {
            return Err(format!("the path begins with `/`, not with `{path}`"));
        }
        let at = match self.at.trim() {
            "" => input::at(None),
            time => Timestamp::parse(time)
                .ok_or_else(|| format!("`{time}` is no time such as 2026-11-20T00:00:00Z"))?,
        };
        let headers = pairs(self.headers.lines(), ':', "a header is `name: value`")?;
        let cookies = pairs(self.cookies.split(['\n', ';']), '=', "a cookie is `name=value`")?;
        let running = app.running();
        let plan = &running.config.plan;
        let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = host.map_or("localhost", |(_, value)| value.as_str());
        let asked = Asked { method: self.method.trim(), path, host, headers: &headers, cookies: &cookies };
        let (headers, left_out) = asked.headers(plan);
        Ok(Answer { explanation: explain(plan, &headers, &Tripped::default(), at), left_out })
    }
}

fn pairs<'t>(
    pieces: impl Iterator<Item = &'t str>,
    separator: char,
    expected: &str,
) -> Result<Vec<(String, String)>, String> {
    let filled = pieces.map(str::trim).filter(|piece| !piece.is_empty());
    filled
        .map(|piece| match piece.split_once(separator) {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(format!("{expected}, not `{piece}`")),
        })
        .collect()
}

/// Text in HTML, in an element or between double quotes.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}

fn page(app: &App, question: &Question, now: Timestamp) -> String {
    let state = State::of(app, now);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} - Splitway</title>\n\
         <link rel=\"stylesheet\" href=\"/__splitway/page.css\">\n\
         <script src=\"/__splitway/page.js\" defer></script>\n</head>\n<body>\n\
         <div id=\"offline\" hidden>splitway dev does not answer; what follows is old</div>\n\
         <div class=\"wrap\">\n",
        Escaped(&state.config.file)
    );
    live(&mut html, &state);
    ask(&mut html, app, question);
    recent(&mut html, &state);
    html.push_str("</div>\n</body>\n</html>\n");
    html
}

/// The config and its counts.
fn live(html: &mut String, state: &State) {
    let config = &state.config;
    let _ = write!(
        html,
        "<main id=\"live\" data-revision=\"{}\">\n<header><h1>Splitway dev</h1>\
         <span class=\"mono soft\">{}</span></header>\n<dl class=\"facts\">\
         <div><dt>config</dt><dd><code>{}</code></dd></div>\
         <div><dt>in force since</dt><dd>{}</dd></div>\
         <div><dt>reloads</dt><dd>{}</dd></div>\
         <div><dt>requests since</dt><dd>{}</dd></div></dl>\n",
        state.revision,
        Escaped(&config.file),
        Escaped(&config.version),
        Escaped(&config.since),
        config.reloads,
        state.requests,
    );
    html.push_str("<dl class=\"facts\">");
    for cluster in &state.clusters {
        upstream(html, cluster);
    }
    html.push_str("</dl>\n");
    if let Some(refused) = &config.refused {
        let _ = writeln!(
            html,
            "<section class=\"banner bad\" id=\"refused\"><strong>The file was refused at {}.</strong> \
             The config above stays in force.<pre>{}</pre></section>",
            Escaped(&refused.at),
            Escaped(refused.problems.trim_end())
        );
    }
    if config.kill_switch {
        html.push_str(
            "<section class=\"banner warn\">The kill switch is on: nobody is in any experiment.</section>\n",
        );
    }
    if !config.warnings.is_empty() {
        let _ = writeln!(
            html,
            "<section class=\"banner warn\"><strong>Probably not as meant</strong><pre>{}</pre></section>",
            Escaped(config.warnings.trim_end())
        );
    }
    html.push_str("<h2>Experiments</h2>\n");
    if state.experiments.is_empty() {
        html.push_str("<p class=\"soft\">The config has none.</p>\n");
    }
    for experiment in &state.experiments {
        experiment_card(html, experiment);
    }
    html.push_str("</main>\n");
}

fn upstream(html: &mut String, cluster: &Cluster) {
    let role = if cluster.is_default { " <span class=\"soft\">(default)</span>" } else { "" };
    let name = Escaped(&cluster.name);
    let _ = match &cluster.url {
        Some(url) => {
            write!(html, "<div><dt>cluster</dt><dd>{name}{role} <code>{}</code></dd></div>", Escaped(url))
        }
        None => write!(
            html,
            "<div><dt>cluster</dt><dd>{name} <span class=\"chip bad\">no upstream: goes to the default\
             </span></dd></div>"
        ),
    };
}

fn experiment_card(html: &mut String, experiment: &ExperimentState) {
    let chip = if experiment.is_live { "on" } else { "off" };
    let now = if experiment.is_live { "" } else { ", takes no units now" };
    let _ = write!(
        html,
        "<section class=\"card\"><div class=\"title\"><h3>{}</h3><span class=\"chip {chip}\">{}{now}</span>\
         <span class=\"soft\">layer {}{}{}</span></div>\n\
         <table class=\"variants\"><thead><tr><th>variant</th><th class=\"number\">planned</th>\
         <th class=\"number\">actual</th><th class=\"bar\">bar: actual, mark: planned</th><th class=\"number\">units</th>\
         <th class=\"number\">requests</th></tr></thead><tbody>\n",
        Escaped(&experiment.id),
        experiment.status,
        Escaped(&experiment.layer),
        match experiment.owned_buckets {
            0 => String::new(),
            owned => format!(", {} of its {owned} buckets active", experiment.active_buckets),
        },
        if experiment.is_targeted { ", targeted" } else { "" },
    );
    for variant in &experiment.variants {
        let percent = |share: f64| share * 100.0;
        let actual = variant.actual.map_or("-".to_owned(), |share| format!("{:.1}%", percent(share)));
        let mut name = Escaped(&variant.id).to_string();
        if variant.is_control && variant.id != "control" {
            name.push_str(" <span class=\"soft\">control</span>");
        }
        if let Some(cluster) = &variant.cluster {
            let _ = write!(name, " <span class=\"soft\">&rarr;&nbsp;{}</span>", Escaped(cluster));
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
    html.push_str("</tbody></table>\n");
    if experiment.differs {
        html.push_str(
            "<div class=\"banner warn\">The split of the units differs from the plan more than chance \
             explains (p &lt; 0.001).</div>\n",
        );
    }
    if !experiment.left_out.is_empty() {
        html.push_str("<div class=\"soft\">requests not in it: ");
        for (position, (reason, count)) in experiment.left_out.iter().enumerate() {
            let comma = if position > 0 { ", " } else { "" };
            let _ = write!(html, "{comma}{count} {}", reason.replace('_', " "));
        }
        html.push_str("</div>\n");
    }
    html.push_str("</section>\n");
}

/// What happened, newest first.
fn recent(html: &mut String, state: &State) {
    html.push_str("<section id=\"recent\">\n");
    decisions(html, state);
    if !state.counters.is_empty() {
        html.push_str("<h2>The filter also counted</h2>\n<dl class=\"facts\">");
        for (name, number) in &state.counters {
            let _ = write!(html, "<div><dt><code>{}</code></dt><dd>{number}</dd></div>", Escaped(name));
        }
        html.push_str("</dl>\n");
    }
    html.push_str("</section>\n");
}

fn decisions(html: &mut String, state: &State) {
    html.push_str("<h2>Last decisions</h2>\n");
    if state.decisions.is_empty() {
        html.push_str(
            "<p class=\"soft\">None yet. Send a request through the proxy, with a header or cookie that \
             is the config's unit.</p>\n",
        );
        return;
    }
    html.push_str(
        "<div class=\"card\"><table class=\"decisions\"><thead><tr><th>time</th><th>request</th>\
         <th>status</th><th>experiments</th><th>cluster</th><th class=\"number\">ms</th></tr></thead><tbody>\n",
    );
    for record in &state.decisions {
        decision(html, record);
    }
    html.push_str("</tbody></table></div>\n");
}

fn decision(html: &mut String, record: &Record) {
    let clock = record.time.split_once('T').map_or(record.time.as_str(), |(_, clock)| clock);
    let (class, status) = match record.status {
        Some(status @ ..400) => ("ok", status.to_string()),
        Some(status @ ..500) => ("client", status.to_string()),
        Some(status) => ("server", status.to_string()),
        None => ("client", "-".to_owned()),
    };
    let mut what = String::new();
    for entered in &record.experiments {
        let _ = write!(
            what,
            "<span class=\"entered\">{}=<b>{}</b> <span class=\"soft\">({})</span></span>",
            Escaped(&entered.experiment),
            Escaped(&entered.variant),
            Escaped(&entered.reason)
        );
    }
    for out in &record.left_out {
        let _ = write!(
            what,
            "<span class=\"entered soft\">{} ({})</span>",
            Escaped(&out.experiment),
            out.reason.replace('_', " ")
        );
    }
    if let Some(note) = &record.note {
        let _ = write!(what, "<span class=\"entered server\">{}</span>", Escaped(note));
    }
    let _ = writeln!(
        html,
        "<tr><td class=\"mono soft time\">{}</td><td class=\"mono path\">{} {}</td><td class=\"mono {class}\">{status}</td>\
         <td class=\"what\">{what}</td><td class=\"path\">{}</td><td class=\"number soft\">{:.1}<span class=\"unit\"> ms</span></td></tr>",
        Escaped(clock),
        Escaped(&record.method),
        Escaped(&record.path),
        Escaped(record.cluster.as_deref().unwrap_or("-")),
        record.duration_ms,
    );
}

fn ask(html: &mut String, app: &App, question: &Question) {
    let _ = write!(
        html,
        "<section id=\"explain\"><h2>Explain this request</h2>\n<div class=\"card\">\n\
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
            Ok(answer) => steps(html, &answer),
            Err(why) => {
                let _ = write!(html, "<div class=\"banner bad\">{}</div>", Escaped(&why));
            }
        }
    }
    html.push_str("</div></div></section>\n");
}

fn steps(html: &mut String, answer: &Answer) {
    for name in &answer.left_out {
        let _ = write!(
            html,
            "<div class=\"banner warn\"><code>{}</code> is left out: {}</div>",
            Escaped(name),
            Escaped(WHY_LEFT_OUT)
        );
    }
    html.push_str("<ol class=\"steps\">\n");
    for step in &answer.explanation.steps {
        // Every line of the text form begins with its word, padded.
        let line = step.to_string();
        let (class, what, rest) = match step {
            ExplainedStep::Outcome { .. } => ("outcome", "outcome", line.trim_start_matches("=> ")),
            _ => {
                let (what, rest) = line.split_once("  ").unwrap_or((&line, ""));
                ("", what, rest)
            }
        };
        let _ = writeln!(
            html,
            "<li><span class=\"what\">{}</span><span class=\"{class}\">{}</span></li>",
            Escaped(what),
            Escaped(rest.trim_start())
        );
    }
    let stamp = answer.explanation.stamp.as_deref().unwrap_or("not sent");
    let _ = write!(
        html,
        "<li><span class=\"what\">x-splitway</span><code>{}</code></li>\n</ol>\n\
         <p class=\"soft\">at {}, config <code>{}</code></p>",
        Escaped(stamp),
        Escaped(&answer.explanation.at),
        Escaped(&answer.explanation.config)
    );
}
