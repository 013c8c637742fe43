//! What is printed: requests and news on stdout, complaints on stderr.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use proxy_wasm_host::{LogEntry, LogLevel, LogSource};
use serde_json::json;

use super::board::Record;
use crate::plural::counted;
use crate::style::Style;

/// How lines are printed.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) verbose: bool,
}

impl Output {
    /// The first line.
    pub(super) fn listening(self, url: &str) -> io::Result<()> {
        if self.json {
            return write(&json!({ "event": "listening", "url": url }).to_string());
        }
        let style = Style::stdout();
        write(&format!("{} {}", style.bold("listening on"), style.cyan(url)))
    }

    /// A remark for people.
    pub(super) fn remark(self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { write(text) }
    }

    pub(super) fn request(self, record: &Record) -> io::Result<()> {
        if self.json {
            return write(&serde_json::to_string(record)?);
        }
        write(&line(record, Style::stdout()))
    }

    pub(super) fn reloaded(self, time: &str, config: &str, experiments: usize) -> io::Result<()> {
        if self.json {
            let news = json!({ "event": "reloaded", "time": time, "config": config });
            return write(&news.to_string());
        }
        let style = Style::stdout();
        let what = style.green(&format!("config {config} in force"));
        write(&format!("{} {what}, {}", style.dim(clock(time)), counted(experiments, "experiment")))
    }

    /// `problems` comes coloured for stderr, `plain` without.
    pub(super) fn refused(self, time: &str, kept: &str, problems: &str, plain: &str) -> io::Result<()> {
        if self.json {
            let news = json!({ "event": "refused", "time": time, "kept": kept, "problems": plain });
            return write(&news.to_string());
        }
        let style = Style::stderr();
        let what = style.red(&format!("config refused, {kept} stays in force"));
        complain(&format!("{} {what}\n{}", style.dim(clock(time)), problems.trim_end()));
        Ok(())
    }

    /// Log lines of the filter: all if asked for, else what is wrong. Exposures have their own line.
    pub(super) fn log(self, lines: &[LogEntry]) {
        let style = Style::stderr();
        for line in lines.iter().filter(|line| self.verbose || line.level >= LogLevel::Warn) {
            let level = format!("{:?}", line.level).to_lowercase();
            let who = if line.source == LogSource::Host { "host" } else { "filter" };
            let text = format!("{who} {level}: {}", printable(&line.message));
            complain(&if line.level >= LogLevel::Warn { style.yellow(&text) } else { style.dim(&text) });
        }
    }

    pub(super) fn warn(self, text: &str) {
        let style = Style::stderr();
        complain(&format!("{}: {text}", style.yellow("warning")));
    }
}

/// `12:30:01.004 GET /checkout 200 checkout-button=one-step (split) -> checkout-v2 1.3 ms`.
fn line(record: &Record, style: Style) -> String {
    let mut pieces = vec![
        style.dim(clock(&record.time)),
        format!("{:<4}", record.method),
        style.bold(&printable(&record.path)),
        match record.status {
            Some(status @ ..400) => style.green(&status.to_string()),
            Some(status @ ..500) => style.yellow(&status.to_string()),
            Some(status) => style.red(&status.to_string()),
            None => style.yellow("---"),
        },
    ];
    for entered in &record.experiments {
        let variant = style.cyan(&entered.variant);
        let reason = style.dim(&format!("({})", entered.reason));
        pieces.push(format!("{}={variant} {reason}", entered.experiment));
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for out in &record.left_out {
        reasons.entry(out.reason).or_default().push(&out.experiment);
    }
    for (reason, experiments) in reasons {
        let who = match experiments.as_slice() {
            [one] => (*one).to_owned(),
            more => counted(more.len(), "experiment"),
        };
        pieces.push(style.dim(&format!("{who}=- ({reason})")));
    }
    if let Some(cluster) = &record.cluster {
        pieces.push(format!("{} {cluster}", style.dim("->")));
    }
    if let Some(cluster) = &record.copied_to {
        pieces.push(style.dim(&format!("(copied to {cluster})")));
    }
    pieces.push(style.dim(&format!("{:.1} ms", record.duration_ms)));
    if let Some(note) = &record.note {
        pieces.push(style.red(&printable(note)));
    }
    pieces.join(" ")
}

/// The time of day of an RFC 3339 time.
fn clock(time: &str) -> &str {
    time.split_once('T').map_or(time, |(_, clock)| clock)
}

/// What a client sends must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn write(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn complain(text: &str) {
    // Nothing useful can be done when stderr is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::super::board::{Entered, LeftOut};
    use super::*;

    #[test]
    fn a_request_is_one_line() {
        let out = |experiment: &str, reason| LeftOut { experiment: experiment.to_owned(), reason };
        let record = Record {
            event: "request",
            time: "2026-11-21T12:30:01.004Z".to_owned(),
            method: "GET".to_owned(),
            path: "/a\u{1b}[31m".to_owned(),
            status: Some(503),
            experiments: vec![Entered {
                experiment: "button".to_owned(),
                variant: "big".to_owned(),
                reason: "split".to_owned(),
            }],
            left_out: vec![out("a", "no_unit"), out("b", "holdout"), out("c", "no_unit")],
            cluster: Some("v2".to_owned()),
            copied_to: Some("v3".to_owned()),
            duration_ms: 1.25,
            note: Some("down".to_owned()),
        };
        assert_eq!(
            line(&record, Style::plain()),
            "12:30:01.004Z GET  /a\u{fffd}[31m 503 button=big (split) b=- (holdout) \
             2 experiments=- (no_unit) -> v2 (copied to v3) 1.2 ms down"
        );
    }
}
