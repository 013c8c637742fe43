//! Probe scripts with what the guest must see. One table for every host:
//! `tests/abi.rs` runs it here, `tests/envoy.rs` on a real Envoy 1.40.
//!
//! Both have these clusters, and a request goes to `up` unless it has
//! `x-route: NAME`: `up` and `alt` answer 200 with `set-cookie: a=1`,
//! `set-cookie: b=2`, `vary: accept`, `content-type: text/plain` and their
//! name as body; `down` refuses connections. `/direct` is a direct response,
//! `x-route: nowhere` leads to a cluster that does not exist, `/none` has no
//! route.
//!
//! `origin` speaks HTTP/2, takes the paths under `/o/`, and does what their
//! name says: `trailers`, `echo` (body and trailer `t` of the request),
//! `hang`, `slow` (answers once the test asks for
//! the answer), `flaky` (503 twice, then 200; its route tries again), `moved`
//! (302 to `/p`, followed by its route).
//! As a gRPC server it has `svc/Hello` (one answer), `svc/Fail` (status 7),
//! `svc/Hang`, and `svc/Chat` (metadata, then an echo). The TCP upstream
//! answers `re:` and what it got, nothing to `!`, and closes at `bye`. `torn` speaks
//! HTTP/1 and breaks off in the body of its response, or before it when asked
//! for `/reset`.

mod bodies;
mod callouts;
mod calls;
mod foreign;
mod grpc;
mod maps;
mod replies;
mod roots;
mod routes;
mod state;
mod tcp;
mod traps;

/// A script, what is done with it, and what follows.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) script: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) steps: &'static [Step],
    /// Whose lines `log` has.
    pub(crate) vm: Speaker,
    /// What the guest logs after its first configuration.
    pub(crate) log: &'static str,
}

/// A VM that logs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Worker,
    Main,
}

/// Something done with a host.
pub(crate) enum Step {
    Send(Sent),
    /// Sends a request and goes on when the guest has said this line.
    Open(Sent, &'static str),
    /// Takes the answer to the request that was opened.
    Finish,
    /// Gives the plugin another configuration, which is accepted.
    Configure(&'static str),
    /// As above, and it is refused.
    Refuse(&'static str),
    /// Goes on when the guest has said this line.
    Await(&'static str),
    /// Goes on when a few milliseconds have passed since the last load.
    Elapse,
    /// Opens a TCP connection, sends the first (nothing: closes its half) and
    /// receives the second (nothing: the end) of each pair, closes its half
    /// and waits for the other.
    Talk(&'static [(&'static str, &'static str)]),
}

/// Why the proxy refuses a request before the filter sees it.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    NoHost,
    /// Its headers are larger than 60 KiB.
    TooLarge,
}

/// In [`Step::Talk`]: the filter keeps what the client said, and says so.
pub(crate) const HELD: &str = "held";

/// A request, and what the client gets.
pub(crate) struct Sent {
    pub(crate) path: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static str,
    pub(crate) trailers: &'static [(&'static str, &'static str)],
    pub(crate) refused: Option<Refusal>,
    /// Status (0 for none), body, and `name: value` of headers the case is
    /// about; `-` for a header that must not be there.
    pub(crate) status: u16,
    pub(crate) answer: &'static str,
    pub(crate) answer_headers: &'static [(&'static str, &'static str)],
    pub(crate) answer_trailers: &'static [(&'static str, &'static str)],
}

const PLAIN: Sent = Sent {
    path: "/p?q=1",
    headers: &[],
    body: "",
    trailers: &[],
    refused: None,
    status: 200,
    answer: "up",
    answer_headers: &[],
    answer_trailers: &[],
};
const CASE: Case = Case {
    name: "",
    script: "",
    policy: "FAIL_CLOSED",
    steps: &[Step::Send(PLAIN)],
    vm: Speaker::Worker,
    log: "",
};

/// The table.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    let files = [
        calls::CASES,
        maps::CASES,
        bodies::CASES,
        routes::CASES,
        replies::CASES,
        callouts::CASES,
        grpc::CASES,
        state::CASES,
        foreign::CASES,
        roots::CASES,
        traps::CASES,
        tcp::CASES,
    ];
    files.into_iter().flatten()
}

impl Case {
    /// The plugin is a network filter.
    #[allow(dead_code, reason = "only a real proxy must know before it starts")]
    pub(crate) fn is_tcp(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Talk(_)))
    }

    /// The requests in the order of their answers.
    fn sent(&self) -> impl Iterator<Item = &'static Sent> {
        self.steps.iter().filter_map(|step| match step {
            Step::Send(sent) | Step::Open(sent, _) => Some(sent),
            _ => None,
        })
    }

    /// The log as lines.
    pub(crate) fn lines(&self) -> Vec<&'static str> {
        self.log.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }
}

/// What a host showed for a case.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) answers: Vec<Answer>,
    /// What a TCP client received.
    pub(crate) received: Vec<String>,
    pub(crate) log: Vec<String>,
    /// Something that went otherwise than the step says.
    pub(crate) trouble: Vec<String>,
}

/// A response as the client got it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) trailers: Vec<(String, String)>,
}

/// The differences between a case and what a host showed, as text that can be
/// pasted into the table.
pub(crate) fn differences(case: &Case, observed: &Observed) -> String {
    let mut text: String = observed.trouble.iter().map(|line| format!("  {line}\n")).collect();
    for (sent, answer) in case.sent().zip(&observed.answers) {
        if (answer.status, answer.body.as_str()) != (sent.status, sent.answer) {
            text += &format!(
                "  client: {} {:?}, expected {} {:?}\n",
                answer.status, answer.body, sent.status, sent.answer
            );
        }
        text += &unequal(sent.answer_headers, &answer.headers);
        text += &unequal(sent.answer_trailers, &answer.trailers);
    }
    let wanted: Vec<&str> = case.steps.iter().flat_map(received).collect();
    if observed.received != wanted {
        text += &format!("  client received {:?}, expected {wanted:?}\n", observed.received);
    }
    if observed.log != case.lines() {
        text += &format!("  log:\n            {}\n", observed.log.join("\n            "));
    }
    if text.is_empty() { text } else { format!("== {}\n{text}", case.name) }
}

fn received(step: &Step) -> Vec<&'static str> {
    match step {
        Step::Talk(turns) => turns.iter().map(|(_, answer)| *answer).collect(),
        _ => Vec::new(),
    }
}

/// Which headers or trailers are not as the case wants them.
fn unequal(wanted: &[(&str, &str)], found: &[(String, String)]) -> String {
    let mut names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    names.dedup();
    let mut text = String::new();
    for name in names {
        let wanted: Vec<&str> = wanted
            .iter()
            .filter(|(key, value)| *key == name && *value != "-")
            .map(|(_, value)| *value)
            .collect();
        let found: Vec<&str> =
            found.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        if found != wanted {
            text += &format!("  client: {name} {found:?}, expected {wanted:?}\n");
        }
    }
    text
}

/// The lines that count: not the echo of `say`, and not what the guest says
/// while it gets its first configuration.
pub(crate) fn shown(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let lines = lines.into_iter().filter(|line| !line.ends_with(" = "));
    lines.skip_while(|line| line.starts_with("configure ") || line.starts_with("vm_start ")).collect()
}
