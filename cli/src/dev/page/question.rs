//! The form: a request that somebody asks about.

use splitway_engine::guardrail::Tripped;
use splitway_engine::{Explanation, Timestamp};

use crate::dev::App;
use crate::explain::{Asked, explain};
use crate::input;

/// The form's fields, as they were sent.
pub(super) struct Question {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: String,
    pub(super) cookies: String,
    pub(super) at: String,
    pub(super) is_asked: bool,
}

pub(super) struct Answer {
    pub(super) explanation: Explanation,
    pub(super) left_out: Vec<String>,
}

impl Question {
    pub(super) fn read(query: &str) -> Self {
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

    pub(super) fn answer(&self, app: &App) -> Result<Answer, String> {
        let path = self.path.trim();
        if !path.starts_with('/') {
            return Err(format!("the path must begin with `/`; found `{path}`"));
        }
        let at = match self.at.trim() {
            "" => input::at(None),
            time => Timestamp::parse(time)
                .ok_or_else(|| format!("expected a time such as 2026-11-20T00:00:00Z, found `{time}`"))?,
        };
        let headers = pairs(self.headers.lines(), ':', "expected a header as `name: value`")?;
        let cookies = pairs(self.cookies.split(['\n', ';']), '=', "expected a cookie as `name=value`")?;
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
            _ => Err(format!("{expected}, found `{piece}`")),
        })
        .collect()
}
