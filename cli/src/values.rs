//! What the arguments of several commands are made of.

use clap::Args;
use splitway_engine::Timestamp;

/// What every question has.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// Time for which to answer (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A time in RFC 3339.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "expected a time such as 2026-11-20T00:00:00Z".to_owned())
}

/// A percentage as a fraction.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a percentage such as 20%".to_owned()),
    }
}

/// A key and a value, without blanks around them.
pub(crate) fn pair(text: &str, separator: char) -> Result<(String, String), String> {
    let (key, value) = text.split_once(separator).ok_or(format!("expected a `{separator}`"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
