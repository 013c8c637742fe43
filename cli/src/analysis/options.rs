//! What an analysis was asked for, for its page.

use splitway_stats::group_sequential::Spending;

use super::args::Data;

/// Names and values; defaults are said, too, as the reader does not know them.
pub(super) fn of(data: &Data) -> Vec<(String, String)> {
    let method = match (data.fixed, data.looks.as_slice()) {
        (true, _) => "fixed: intervals for one look, planned beforehand".to_owned(),
        (false, []) => "sequential: intervals that hold at every look".to_owned(),
        (false, looks) => {
            let bounds = match data.spending.into() {
                Spending::ObrienFleming => "O'Brien-Fleming",
                Spending::Pocock => "Pocock",
            };
            let looks: Vec<String> = looks.iter().map(f64::to_string).collect();
            format!("planned looks at {} of the units, {bounds} bounds", looks.join(", "))
        }
    };
    let after = data.window.map_or("without end".to_owned(), duration);
    let covariates = data.before.map_or("none".to_owned(), |before| {
        format!("the same outcomes in the {} before (CUPED)", duration(before))
    });
    let tolerance = match data.clock_tolerance {
        0 => "none".to_owned(),
        tolerance => format!("up to {} before it", duration(tolerance)),
    };
    let caps = if data.cap.is_empty() { "none".to_owned() } else { data.cap.join(", ") };
    let excluded =
        data.exclude.as_ref().map_or("none".to_owned(), |file| format!("those of {}", file.display()));
    let bots =
        data.max_exposures.map_or("none".to_owned(), |most| format!("those with more than {most} exposures"));
    let mut all = vec![
        ("method", method),
        ("outcomes count after the first exposure", after),
        ("outcomes before the exposure that count, for clocks that differ", tolerance),
        ("numbers of units cut off", caps),
        ("covariates", covariates),
        ("units excluded by name", excluded),
        ("units excluded as bots", bots),
    ];
    if data.complete_only {
        all.push(("units whose window is not over", "left out".to_owned()));
    }
    if !data.older_config.is_empty() {
        let names: Vec<String> = data.older_config.iter().map(|file| file.display().to_string()).collect();
        all.push(("older configs", names.join(", ")));
    }
    if let Some(field) = &data.segment {
        all.push(("segments by", field.clone()));
    }
    if let Some(experiment) = &data.experiment {
        all.push(("only the experiment", experiment.clone()));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Milliseconds, in the largest unit that divides them.
fn duration(milliseconds: i64) -> String {
    splitway_document::describe_duration(milliseconds.unsigned_abs())
}
