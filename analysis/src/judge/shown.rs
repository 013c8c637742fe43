//! Numbers as they are shown.

/// An interval's level in percent, for people: `95` for .05.
#[must_use]
pub fn level(alpha: f64) -> f64 {
    ((1.0 - alpha) * 1e6).round() / 1e4
}

/// A probability for people.
#[must_use]
pub fn probability(p: f64) -> String {
    match p {
        0.0 => "<1e-300".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        p => format!("{p:.4}"),
    }
}

/// A day since 1970 as a date.
#[must_use]
pub fn date(day: i64) -> String {
    let text = splitway_engine::Timestamp(day.saturating_mul(86_400_000)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
