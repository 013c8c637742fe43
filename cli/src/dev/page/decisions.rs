//! What happened, newest first.

use std::fmt::Write as _;

use super::Escaped;
use crate::dev::board::Record;
use crate::dev::state::State;

/// The last decisions, and the filter's own counters.
pub(super) fn recent(html: &mut String, state: &State) {
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
        "<div class=\"card\"><table class=\"decisions\"><thead><tr><th class=\"time\">time</th><th>request</th>\
         <th class=\"status\">status</th><th>experiments</th><th class=\"cluster\">cluster</th>\
         <th class=\"number\">ms</th></tr></thead><tbody>\n",
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
            "<div>{}=<b>{}</b> <span class=\"soft\">({})</span></div>",
            Escaped(&entered.experiment),
            Escaped(&entered.variant),
            Escaped(&entered.reason.replace('_', " "))
        );
    }
    if let Some(note) = &record.note {
        let _ = write!(what, "<div class=\"server\">{}</div>", Escaped(note));
    }
    if !record.left_out.is_empty() {
        // A decision has no id of its own; time and path tell it from its neighbours.
        let _ = write!(
            what,
            "<details class=\"soft\" data-key=\"{} {}\"><summary>{} not entered</summary>",
            Escaped(&record.time),
            Escaped(&record.path),
            record.left_out.len()
        );
        for out in &record.left_out {
            let _ =
                write!(what, "<div>{} ({})</div>", Escaped(&out.experiment), out.reason.replace('_', " "));
        }
        what.push_str("</details>");
    }
    let _ = writeln!(
        html,
        "<tr><td class=\"mono soft time\">{}</td><td class=\"mono path\">{} {}</td><td class=\"mono status {class}\">{status}</td>\
         <td class=\"what\">{what}</td><td class=\"cluster\">{}</td><td class=\"number soft\">{:.1}<span class=\"unit\"> ms</span></td></tr>",
        Escaped(clock),
        Escaped(&record.method),
        Escaped(&record.path),
        Escaped(record.cluster.as_deref().unwrap_or("-")),
        record.duration_ms,
    );
}
