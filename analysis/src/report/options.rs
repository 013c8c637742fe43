//! The options of an analysis, for its page.

use splitway_stats::group_sequential::Spending;

use crate::Request;
use crate::judge::Method;

/// Returns names and values; defaults are listed, too, because the reader does not know them.
pub(super) fn options(request: &Request<'_>) -> Vec<(String, String)> {
    let method = match &request.method {
        Method::Fixed => "fixed: intervals for one look, planned beforehand".to_owned(),
        Method::Sequential => "sequential: intervals that hold at every look".to_owned(),
        Method::Planned { spending, looks } => {
            let bounds = match spending {
                Spending::ObrienFleming => "O'Brien-Fleming",
                Spending::Pocock => "Pocock",
            };
            let looks: Vec<String> = looks.iter().map(f64::to_string).collect();
            format!("planned looks at {} of the units, {bounds} bounds", looks.join(", "))
        }
    };
    let after = request.window_ms.map_or("without end".to_owned(), duration);
    let covariates = request.before_ms.map_or("none".to_owned(), |before| {
        format!("the same outcomes in the {} before (CUPED)", duration(before))
    });
    let tolerance = match request.tolerance_ms {
        0 => "none".to_owned(),
        tolerance => format!("up to {} before it", duration(tolerance)),
    };
    let caps = if request.caps.is_empty() { "none".to_owned() } else { caps(request) };
    let excluded =
        request.excluded.as_ref().map_or("none".to_owned(), |list| format!("those of {}", list.name));
    let bots = request
        .most_exposures
        .map_or("none".to_owned(), |most| format!("those with more than {most} exposures"));
    let mut all = vec![
        ("method", method),
        ("outcomes count after the first exposure", after),
        ("outcomes before the exposure that count, for clocks that differ", tolerance),
        ("numbers of units cut off", caps),
        ("covariates", covariates),
        ("units excluded by name", excluded),
        ("units excluded as bots", bots),
    ];
    if request.is_complete {
        all.push(("units whose window is not over", "left out".to_owned()));
    }
    if !request.older.is_empty() {
        let names: Vec<&str> = request.older.iter().map(|older| older.name).collect();
        all.push(("older configs", names.join(", ")));
    }
    if let Some(field) = &request.segment {
        all.push(("segments by", field.clone()));
    }
    if let Some(experiment) = &request.experiment {
        all.push(("only the experiment", experiment.clone()));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn caps(request: &Request<'_>) -> String {
    let caps: Vec<String> = request.caps.iter().map(|(name, cap)| format!("{name} at {cap}")).collect();
    caps.join(", ")
}

/// Milliseconds, in the largest unit that divides them.
fn duration(milliseconds: i64) -> String {
    splitway_document::describe_duration(milliseconds.unsigned_abs())
}
