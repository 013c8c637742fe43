//! `/__splitway`: the page, its state as JSON, and explanations.
//!
//! Rendered here whole, so that it works without script, there is one place that escapes, and the
//! script only puts fresh pieces in place.

mod answer;
mod card;
mod decisions;
mod question;

use std::fmt::{self, Write as _};

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use splitway_engine::Timestamp;

use super::App;
use super::proxy::{Body, full, text};
use super::state::{Cluster, State};
use crate::input;
use question::Question;

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
         <div id=\"offline\" hidden>splitway dev does not answer; this page is out of date</div>\n\
         <div class=\"wrap\">\n",
        Escaped(&state.config.file)
    );
    live(&mut html, &state);
    answer::ask(&mut html, app, question);
    decisions::recent(&mut html, &state);
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
            "<section class=\"banner warn\">The kill switch is on: no request enters any experiment.</section>\n",
        );
    }
    if !config.warnings.is_empty() {
        let _ = writeln!(
            html,
            "<section class=\"banner warn\"><strong>Warnings</strong><pre>{}</pre></section>",
            Escaped(config.warnings.trim_end())
        );
    }
    html.push_str("<h2>Experiments</h2>\n");
    if state.experiments.is_empty() {
        html.push_str("<p class=\"soft\">The config has no experiments.</p>\n");
    }
    for experiment in &state.experiments {
        card::experiment(html, experiment, state.requests);
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
            "<div><dt>cluster</dt><dd>{name} <span class=\"chip bad\">no upstream: its requests go to the default\
             </span></dd></div>"
        ),
    };
}
