//! Durations: a whole number and a unit, such as `30s`. One grammar for configs, scenarios and arguments.

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Milliseconds of a whole number of `ms`, `s`, `m`, `h` or `d`, such as `250ms`, `30s` or `5 m`. `None` for what is
/// not a duration, or is beyond 64 bits.
#[must_use]
pub fn parse_duration(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start();
    let (_, milliseconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(milliseconds)
}

/// Milliseconds in the largest unit that divides them, as [`parse_duration`] reads it: `90m`, `2d`.
#[must_use]
pub fn describe_duration(milliseconds: u64) -> String {
    let fits = |unit: &u64| milliseconds != 0 && milliseconds.checked_rem(*unit) == Some(0);
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| fits(unit)).unwrap_or(("s", 1_000));
    format!("{}{name}", milliseconds.checked_div(unit).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, ms) in [("30s", 30_000), ("5 m", 300_000), ("250ms", 250), ("390d", 33_696_000_000)] {
            assert_eq!(parse_duration(text), Some(ms), "{text}");
        }
        for text in ["30", "s", "", "-1s", "1.5s", "1s 2m", "99999999999999999999s", "1w"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn written_as_read() {
        for (ms, text) in [(0, "0s"), (1, "1ms"), (90_000, "90s"), (5_400_000, "90m"), (172_800_000, "2d")] {
            assert_eq!(describe_duration(ms), text);
            assert_eq!(parse_duration(text), Some(ms));
        }
    }
}
