//! Recorded requests: one JSON object a line, such as an access log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};
use splitway_engine::{ChainId, Decision, Plan, Reason, RequestView, Step, Timestamp, Trace, VariantId};

use crate::explain::Asked;
use crate::outcome::Failure;

/// A request of a log.
pub(crate) struct Recorded {
    /// Its line, from 1 on.
    pub(crate) line: u64,
    /// When it came, if the line has a time.
    pub(crate) time: Option<Timestamp>,
    method: String,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
}

impl Recorded {
    /// Reads a line: the fields `method`, `path`, `host` (or `authority`), `time` (or `start_time`), the objects `headers` and
    /// `cookies`; every other field with a text is the header of that name, `_` for `-`, as access logs have them.
    fn parse(line: u64, text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON ({error})"))?;
        let Value::Object(fields) = value else { return Err("not a JSON object".to_owned()) };
        let mut request = Self {
            line,
            time: None,
            method: "GET".to_owned(),
            path: String::new(),
            host: "localhost".to_owned(),
            headers: Vec::new(),
            cookies: Vec::new(),
        };
        for (name, value) in fields {
            match (name.trim_start_matches(':'), value) {
                ("method", Value::String(method)) => request.method = method,
                ("path", Value::String(path)) => request.path = path,
                ("host" | "authority", Value::String(host)) => request.host = host,
                ("time" | "start_time", Value::String(time)) => {
                    let known = Timestamp::parse(&time);
                    request.time = Some(known.ok_or(format!("`{time}` is not a time in RFC 3339"))?);
                }
                ("headers", Value::Object(headers)) => pairs("headers", headers, &mut request.headers)?,
                ("cookies", Value::Object(cookies)) => pairs("cookies", cookies, &mut request.cookies)?,
                // Access logs write `-` for a header that is not there.
                (name, Value::String(value)) if value != "-" => {
                    request.headers.push((name.to_ascii_lowercase().replace('_', "-"), value));
                }
                _ => {}
            }
        }
        if !request.path.starts_with('/') {
            return Err("no `path` that begins with `/`".to_owned());
        }
        Ok(request)
    }

    /// Its headers as the engine of `plan` sees them.
    fn headers(&self, plan: &Plan) -> Vec<(String, String)> {
        let asked = Asked {
            method: &self.method,
            path: &self.path,
            host: &self.host,
            headers: &self.headers,
            cookies: &self.cookies,
        };
        asked.headers(plan).0
    }

    /// The method and the path, for people.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn pairs(what: &str, from: Map<String, Value>, into: &mut Vec<(String, String)>) -> Result<(), String> {
    for (name, value) in from {
        match value {
            Value::String(value) => into.push((name, value)),
            other => return Err(format!("`{what}.{name}` is {other}, and a text is expected")),
        }
    }
    Ok(())
}

/// Most lines that are shown among those that are no requests.
const SHOWN: usize = 3;

/// Hands each request of `file` (`-`: stdin) to `take`; returns how many there were, and how many lines are none. Some of
/// those are named on stderr.
pub(crate) fn each(
    file: &Path,
    mut take: impl FnMut(Recorded) -> Result<(), Failure>,
) -> Result<(u64, u64), Failure> {
    let name = file.display();
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let open = File::open(file).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        Box::new(BufReader::new(open))
    };
    let (mut requests, mut wrong) = (0, Vec::new());
    for (number, line) in (1..).zip(reader.split(b'\n')) {
        let line = line.map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        match Recorded::parse(number, text) {
            Ok(request) => {
                requests += 1;
                take(request)?;
            }
            Err(problem) => wrong.push((number, problem)),
        }
    }
    for (number, problem) in wrong.iter().take(SHOWN) {
        eprintln!("{name}:{number}: {problem}");
    }
    if !wrong.is_empty() {
        let lines = if wrong.len() == 1 {
            "1 line is not a request".to_owned()
        } else {
            format!("{} lines are not requests", wrong.len())
        };
        eprintln!("{name}: {lines}");
    }
    Ok((requests, wrong.len() as u64))
}

/// What an experiment made of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) reason: Reason,
    pub(crate) variant: Option<VariantId>,
    pub(crate) bucket: Option<u32>,
}

/// Decides requests, and keeps what came out for each experiment.
pub(crate) struct Decider<'p> {
    pub(crate) plan: &'p Plan,
    /// The time of requests that have none.
    now: Timestamp,
    /// Every request is decided at `now`.
    is_fixed: bool,
    decision: Decision,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    /// By experiment, in the plan's order.
    outcomes: Vec<Option<Outcome>>,
    units: BTreeMap<ChainId, String>,
}

impl Trace for Seen {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Unit { chain, found: Some((_, unit)) } => {
                self.units.insert(chain, unit.to_owned());
            }
            Step::Outcome { experiment, reason, variant, bucket } => {
                if let Some(outcome) = self.outcomes.get_mut(experiment.index()) {
                    *outcome = Some(Outcome { reason, variant, bucket });
                }
            }
            _ => {}
        }
    }
}

impl<'p> Decider<'p> {
    /// Requests are decided at `at`, or else at their own time, or else at `now`.
    pub(crate) fn new(plan: &'p Plan, at: Option<Timestamp>, now: Timestamp) -> Self {
        let seen = Seen { outcomes: vec![None; plan.experiments().count()], ..Seen::default() };
        Self { plan, now: at.unwrap_or(now), is_fixed: at.is_some(), decision: Decision::default(), seen }
    }

    /// Decides `request`. What came out stays until the next one.
    pub(crate) fn decide(&mut self, request: &Recorded) {
        self.seen.outcomes.fill(None);
        self.seen.units.clear();
        let headers = request.headers(self.plan);
        let pairs: Vec<(&[u8], &[u8])> =
            headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let now = request.time.filter(|_| !self.is_fixed).unwrap_or(self.now);
        self.plan.decide_into(&RequestView::new(&pairs), now, &mut self.seen, &mut self.decision);
    }

    /// For each experiment that was looked at: its id, what came out, the variant's id, and the unit.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'p str, Outcome, Option<&'p str>, Option<&str>)> {
        self.plan.experiments().filter_map(|(handle, experiment)| {
            let outcome = (*self.seen.outcomes.get(handle.index())?)?;
            let variant = outcome.variant.and_then(|id| experiment.variant(id)).map(|variant| variant.id());
            let chain = self.plan.layer(experiment.layer()).map(|layer| layer.chain());
            let unit = chain.and_then(|chain| self.seen.units.get(&chain)).map(String::as_str);
            Some((experiment.id(), outcome, variant, unit))
        })
    }
}
