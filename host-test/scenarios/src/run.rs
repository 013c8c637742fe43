//! Runs a scenario on a host and compares.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde_json::Value;
use splitway_engine::{Path, STAMP};

use crate::hosts::{Exchange, Host, Request, Session, Verdict, exposures};
use crate::load::Loaded;
use crate::matcher::{JsonExpect, TextExpect, ValuesExpect, quoted, unescape};
use crate::template::Values;
use crate::wire::{Expect, FinalExpect, Refused, SentValue, Step, UpstreamExpect};

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where in the scenario, such as `requests[0].expect.response.status`.
    pub place: String,
    /// The line there.
    pub line: Option<usize>,
    /// What was sent, in short, such as `GET /checkout`.
    pub about: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}", self.place)?;
        if !self.about.is_empty() {
            write!(f, " ({})", self.about)?;
        }
        let indented = |text: &str| text.replace('\n', "\n            ");
        write!(f, "\n  expected  {}\n  found     {}", indented(&self.expected), indented(&self.found))
    }
}

/// Runs `scenario` on `host`; gives what differs, in order.
///
/// # Errors
/// When the host does not work, or a scenario's text cannot be filled in.
pub fn run(scenario: &Loaded, host: &mut dyn Host) -> Result<Vec<Difference>> {
    let (mut session, verdict) = host.open(&scenario.setup)?;
    let mut run = Run { scenario, values: Values::default(), differences: Vec::new(), sent: 0 };
    run.values.keys = scenario.setup.config.token_keys();
    let root = Path::default();
    run.verdict(&root, scenario.scenario.refused.as_ref(), &verdict);
    if !run.differences.is_empty() {
        return Ok(run.differences);
    }
    let before = session.metrics()?;
    for (index, step) in scenario.scenario.requests.iter().enumerate() {
        let place = root.key("requests").index(index);
        if scenario.offsets[index] > 0 {
            session.move_to(scenario.offsets[index])?;
        }
        if let Some(config) = scenario.swaps.get(&index) {
            let verdict = session.configure(config)?;
            run.verdict(&place, step.refused.as_ref(), &verdict);
            if verdict.is_accepted {
                run.values.keys = config.token_keys();
            }
            if is_only_a_swap(step) {
                continue;
            }
        }
        run.request(&place, step, session.as_mut())?;
    }
    if let Some(expect) = &scenario.scenario.expect {
        run.end(expect, &before, session.as_mut())?;
    }
    Ok(run.differences)
}

fn is_only_a_swap(step: &Step) -> bool {
    step.method.is_none()
        && step.path.is_none()
        && step.host.is_none()
        && step.headers.is_empty()
        && step.body.is_none()
        && step.repeat.is_none()
        && step.expect.is_none()
}

/// The bytes of a value that holds nothing to fill in.
pub(crate) fn constant(value: &SentValue) -> Vec<u8> {
    match value {
        SentValue::Text(text) => text.clone().into_bytes(),
        SentValue::Bytes { bytes } => unescape(bytes).unwrap_or_default(),
    }
}

struct Run<'s> {
    scenario: &'s Loaded,
    values: Values,
    differences: Vec<Difference>,
    sent: usize,
}

impl Run<'_> {
    fn differ(&mut self, place: &Path, about: &str, expected: impl Into<String>, found: impl Into<String>) {
        self.differences.push(Difference {
            place: place.to_string(),
            line: self.scenario.line(place),
            about: about.to_owned(),
            expected: expected.into(),
            found: found.into(),
        });
    }

    /// Whether a config was taken or refused as it should be.
    fn verdict(&mut self, place: &Path, refused: Option<&Refused>, verdict: &Verdict) {
        let log = || {
            let log = verdict.log.join("\n");
            if log.is_empty() { String::new() } else { format!("; the log says\n{log}") }
        };
        match (refused, verdict.is_accepted) {
            (None, true) => {}
            (None, false) => {
                let found = format!("it is refused{}", log());
                self.differ(&place.key("config"), "", "a config that is accepted", found);
            }
            (Some(_), true) => {
                self.differ(&place.key("refused"), "", "a config that is refused", "it is accepted");
            }
            (Some(refused), false) => {
                for text in refused.naming() {
                    if !verdict.log.iter().any(|line| line.contains(text)) {
                        let found = format!("none{}", log());
                        self.differ(
                            &place.key("refused"),
                            "",
                            format!("a log line that names {text:?}"),
                            found,
                        );
                    }
                }
            }
        }
    }

    fn request(&mut self, place: &Path, step: &Step, session: &mut dyn Session) -> Result<()> {
        let times = step.repeat.unwrap_or(1);
        for time in 1..=times {
            (self.values.now, self.values.number) = (session.now(), time);
            let request = self.fill(step).map_err(|error| anyhow::anyhow!("{place}: {error}"))?;
            self.sent += 1;
            let mut about = format!("{} {}", request.method, request.path);
            if times > 1 {
                about.push_str(&format!(", number {time} of {times}"));
            }
            let exchange = session.send(&request)?;
            let before = self.differences.len();
            if let Some(expect) = &step.expect {
                let compared = self.compare(&place.key("expect"), &about, expect, &exchange);
                compared.map_err(|error| anyhow::anyhow!("{place}: {error}"))?;
            }
            // What goes wrong once goes wrong every time.
            if self.differences.len() > before {
                break;
            }
        }
        Ok(())
    }

    fn fill(&self, step: &Step) -> Result<Request, String> {
        let mut headers = Vec::new();
        for (name, values) in &step.headers {
            for value in values.all() {
                let value = match value {
                    SentValue::Text(text) => self.values.fill(text)?.into_bytes(),
                    bytes => constant(bytes),
                };
                headers.push((name.clone(), value));
            }
        }
        let text =
            |text: &Option<String>, default: &str| self.values.fill(text.as_deref().unwrap_or(default));
        Ok(Request {
            method: text(&step.method, "GET")?,
            path: text(&step.path, "/")?,
            host: text(&step.host, "localhost")?,
            headers,
            body: step
                .body
                .as_ref()
                .map(|body| self.values.fill(body).map(String::into_bytes))
                .transpose()?,
            number: self.sent,
        })
    }

    fn compare(
        &mut self,
        place: &Path,
        about: &str,
        expect: &Expect,
        exchange: &Exchange,
    ) -> Result<(), String> {
        self.variants(&place.key("variants"), about, &expect.variants, exchange);
        if let Some(response) = &expect.response {
            let place = place.key("response");
            let found = &exchange.response;
            if let Some(status) = response.status
                && status != found.status
            {
                let mut shown = found.status.to_string();
                if !found.body.is_empty() {
                    shown.push_str(&format!(", with the body {}", shortened(&found.body)));
                }
                self.differ(&place.key("status"), about, status.to_string(), shown);
            }
            self.headers(&place.key("headers"), about, &response.headers, &found.headers)?;
            if let Some(body) = &response.body {
                self.text(&place.key("body"), about, body, &found.body)?;
            }
        }
        let place_of_upstream = place.key("upstream");
        match (&expect.upstream, &exchange.upstream) {
            (None, _) | (Some(UpstreamExpect::None(_)), None) => {}
            (Some(UpstreamExpect::None(_)), Some(found)) => {
                let found = format!("it reached `{}`", found.cluster);
                self.differ(&place_of_upstream, about, "no upstream is asked", found);
            }
            (Some(UpstreamExpect::Reached(_)), None) => {
                let found = format!("none was, the response is {}", exchange.response.status);
                self.differ(&place_of_upstream, about, "an upstream is asked", found);
            }
            (Some(UpstreamExpect::Reached(expected)), Some(found)) => {
                let place = place_of_upstream;
                if let Some(cluster) = &expected.cluster
                    && *cluster != found.cluster
                {
                    self.differ(
                        &place.key("cluster"),
                        about,
                        quoted(cluster.as_bytes()),
                        quoted(found.cluster.as_bytes()),
                    );
                }
                let fields = [
                    ("method", &expected.method, &found.method),
                    ("path", &expected.path, &found.path),
                    ("host", &expected.host, &found.host),
                ];
                for (name, expected, found) in fields {
                    if let Some(expected) = expected {
                        self.text(&place.key(name), about, expected, found.as_bytes())?;
                    }
                }
                self.headers(&place.key("headers"), about, &expected.headers, &found.headers)?;
                if let Some(body) = &expected.body {
                    self.text(&place.key("body"), about, body, &found.body)?;
                }
            }
        }
        if let Some(expected) = &expect.exposures {
            self.exposures(&place.key("exposures"), about, expected, &exchange.exposures)?;
        }
        if let Some(found) = &exchange.reasons {
            for (experiment, reason) in &expect.reasons {
                let found = found.get(experiment).map_or("none: it is in no config", String::as_str);
                if found != reason {
                    self.differ(&place.key("reasons").key(experiment), about, reason, found);
                }
            }
        }
        Ok(())
    }

    fn variants(
        &mut self,
        place: &Path,
        about: &str,
        expected: &BTreeMap<String, String>,
        exchange: &Exchange,
    ) {
        let stamps = |headers: &[(String, Vec<u8>)]| -> BTreeMap<String, String> {
            let lines = headers.iter().filter(|(name, _)| name == STAMP);
            let text: Vec<String> =
                lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
            let members = text.join(",");
            let pairs = members.split(',').filter_map(|member| member.trim().split_once('='));
            pairs.map(|(name, variant)| (name.to_owned(), variant.trim_matches('"').to_owned())).collect()
        };
        let mut sides = vec![("the response", stamps(&exchange.response.headers))];
        if let Some(upstream) = &exchange.upstream {
            sides.insert(0, ("the request", stamps(&upstream.headers)));
        }
        for (experiment, variant) in expected {
            for (side, stamps) in &sides {
                let found = stamps.get(experiment).map_or("none", String::as_str);
                if found != variant {
                    self.differ(&place.key(experiment), about, variant, format!("{found}, on {side}"));
                    break;
                }
            }
        }
    }

    fn headers(
        &mut self,
        place: &Path,
        about: &str,
        expected: &BTreeMap<String, ValuesExpect>,
        found: &[(String, Vec<u8>)],
    ) -> Result<(), String> {
        for (name, expected) in expected {
            let lines: Vec<&[u8]> = found
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_slice())
                .collect();
            match expected.check(&lines, &self.values)? {
                Some(captured) => self.values.keep(captured),
                None => {
                    let shown: Vec<String> = lines.iter().map(|value| quoted(value)).collect();
                    let shown = if shown.is_empty() { "absent".to_owned() } else { shown.join(" then ") };
                    self.differ(&place.key(name), about, expected.describe(&self.values), shown);
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, place: &Path, about: &str, expected: &TextExpect, found: &[u8]) -> Result<(), String> {
        match expected.check(found, &self.values)? {
            Some(captured) => self.values.keep(captured),
            None => self.differ(place, about, expected.describe(&self.values), quoted(found)),
        }
        Ok(())
    }

    fn exposures(
        &mut self,
        place: &Path,
        about: &str,
        expected: &[BTreeMap<String, JsonExpect>],
        found: &[Value],
    ) -> Result<(), String> {
        let mut left: Vec<&Value> = found.iter().collect();
        for (index, fields) in expected.iter().enumerate() {
            // The one that fits, or else the one with the fewest differences.
            let mut best: Option<(usize, Vec<String>)> = None;
            for (position, record) in left.iter().enumerate() {
                let mut wrong = Vec::new();
                for (name, field) in fields {
                    match field.check(record.get(name), &self.values)? {
                        Some(captured) => self.values.keep(captured),
                        None => wrong.push(name.clone()),
                    }
                }
                if best.as_ref().is_none_or(|(_, fewest)| wrong.len() < fewest.len()) {
                    best = Some((position, wrong));
                }
            }
            let place = place.index(index);
            match best {
                None => {
                    let wanted: Vec<String> = fields
                        .iter()
                        .map(|(name, field)| format!("{name}: {}", field.describe(&self.values)))
                        .collect();
                    let found = format!("none is left: there are {} in all", found.len());
                    self.differ(&place, about, format!("a record with\n{}", wanted.join("\n")), found);
                }
                Some((position, wrong)) => {
                    let record = left.remove(position);
                    for name in wrong {
                        let found = record.get(&name).map_or_else(|| "absent".to_owned(), Value::to_string);
                        let expected = fields[&name].describe(&self.values);
                        self.differ(&place.key(&name), about, expected, found);
                    }
                }
            }
        }
        if !left.is_empty() {
            let more: Vec<String> = left.iter().map(ToString::to_string).collect();
            self.differ(
                place,
                about,
                format!("{} exposures", expected.len()),
                format!("more:\n{}", more.join("\n")),
            );
        }
        Ok(())
    }

    fn end(
        &mut self,
        expect: &FinalExpect,
        before: &BTreeMap<String, u64>,
        session: &mut dyn Session,
    ) -> Result<()> {
        let place = Path::default().key("expect");
        if !expect.metrics.is_empty() {
            let now = session.metrics()?;
            let grown = |name: &str| {
                let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
                count(&now).saturating_sub(count(before))
            };
            for (name, expected) in &expect.metrics {
                let found = grown(name);
                if !expected.holds(found) {
                    let mut shown = found.to_string();
                    if !now.contains_key(name) {
                        let known: Vec<&str> =
                            now.keys().filter(|name| grown(name) > 0).map(String::as_str).collect();
                        shown.push_str(&format!(": no such counter; those that grew: {}", known.join(", ")));
                    }
                    self.differ(&place.key("metrics").key(name), "", expected.describe(), shown);
                }
            }
        }
        let log: Vec<String> =
            session.log()?.into_iter().filter(|line| exposures(line).next().is_none()).collect();
        let place = place.key("log");
        for (index, expected) in expect.log.some.iter().enumerate() {
            if !self.any(expected, &log)? {
                let place = place.key("some").index(index);
                let shown = if log.is_empty() {
                    "none: nothing was logged".to_owned()
                } else {
                    format!("none of\n{}", log.join("\n"))
                };
                self.differ(&place, "", format!("a log line: {}", expected.describe(&self.values)), shown);
            }
        }
        for (index, unwanted) in expect.log.none.iter().enumerate() {
            if self.any(unwanted, &log)? {
                let place = place.key("none").index(index);
                let expected = format!("no log line: {}", unwanted.describe(&self.values));
                self.differ(&place, "", expected, log.join("\n"));
            }
        }
        Ok(())
    }

    fn any(&self, expected: &TextExpect, lines: &[String]) -> Result<bool> {
        for line in lines {
            if expected.check(line.as_bytes(), &self.values).map_err(anyhow::Error::msg)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn shortened(body: &[u8]) -> String {
    const MOST: usize = 300;
    if body.len() <= MOST { quoted(body) } else { format!("{}…", quoted(&body[..MOST])) }
}
