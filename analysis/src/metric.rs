//! Metrics: what is computed of the outcomes of a unit, and of the units of an arm.

use std::fmt;

use serde::Serialize;
use splitway_stats::cuped;

use crate::Error;

/// How a unit's outcomes of one name become a number; 0 without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Their values' sum.
    Sum,
    /// How many there are.
    Count,
    /// 1 if there is any.
    Any,
}

/// A number that each unit has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// How it is made.
    pub how: How,
    /// Of which outcomes. Taken from the exposures themselves: `@errors` (5xx) and `@answered` (those with a status),
    /// `@duration_ms` and `@timed` (those with a duration).
    pub outcome: String,
}

impl Term {
    /// Whether it comes from the exposures.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.outcome.starts_with('@')
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Sum => "sum",
            How::Count => "count",
            How::Any => "any",
        };
        write!(f, "{how}({})", self.outcome)
    }
}

/// What a metric is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Must not get worse.
    Guardrail,
    /// Decides.
    Primary,
    /// Is looked at.
    Secondary,
}

/// A metric: the mean of a term over units, the ratio of two terms' means, or a quantile of single outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The term, or what stands above.
    pub numerator: Term,
    /// What stands below.
    pub denominator: Option<Term>,
    /// Of the numerator's outcomes, each on its own: this quantile, 0 to 1, and no mean.
    pub quantile: Option<f64>,
    /// Whether less is better; `None` if nobody said.
    pub is_lower_better: Option<bool>,
    /// Where a unit's number above is cut off, so that few large ones do not decide.
    pub cap: Option<Cap>,
}

/// Where the numbers of units are cut off (winsorised): a larger one counts as the cap, a smaller one as its counterpart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cap {
    /// At this number and at its negative.
    At(f64),
    /// At this quantile (0.5 to 1) of all units of the experiment, whichever their variant, and at one minus it: the
    /// smallest value that at least this share of the units does not exceed.
    Percentile(f64),
}

impl Cap {
    /// Reads `p99.5` or a number above 0.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong =
            || Error::Metric(text.to_owned(), "a percentile above p50 such as p99.5, or a number above 0");
        if text.trim().starts_with('p') {
            let p = quantile(text).filter(|p| *p > 0.5).ok_or_else(wrong)?;
            return Ok(Self::Percentile(p));
        }
        let at = text.trim().parse::<f64>().ok().filter(|at| *at > 0.0 && at.is_finite());
        at.map(Self::At).ok_or_else(wrong)
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(f, "{at}"),
            Self::Percentile(p) => write!(f, "p{} of all units", (p * 1e5).round() / 1e3),
        }
    }
}

const EXPECTED: &str = "NAME=TERM or NAME=TERM/TERM, a TERM being sum(x), count(x), any(x), or mean(x) or a quantile such as p95(x) alone";

impl Metric {
    /// The metric that a config means by a name alone: `http_5xx_rate`, `latency_mean` and `latency_p95` (or another
    /// quantile) of the exposures' requests, else the sum of the outcomes of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let built_in = |outcome: &str| Term { how: How::Sum, outcome: outcome.to_owned() };
        let per_request = |numerator, denominator| Self {
            name: name.to_owned(),
            numerator: built_in(numerator),
            denominator: Some(built_in(denominator)),
            quantile: None,
            is_lower_better: Some(true),
            cap: None,
        };
        if let Some(p) = name.strip_prefix("latency_").and_then(quantile) {
            let (name, numerator) = (name.to_owned(), built_in("@duration_ms"));
            return Self {
                name,
                numerator,
                denominator: None,
                quantile: Some(p),
                is_lower_better: Some(true),
                cap: None,
            };
        }
        match name {
            "http_5xx_rate" => per_request("@errors", "@answered"),
            "latency_mean" => per_request("@duration_ms", "@timed"),
            _ => Self {
                name: name.to_owned(),
                numerator: built_in(name),
                denominator: None,
                quantile: None,
                is_lower_better: None,
                cap: None,
            },
        }
    }

    /// Reads `NAME=TERM`, `NAME=TERM/TERM`, such as `order_rate=any(order)`, `basket=sum(revenue)/count(order)`,
    /// `latency=mean(latency)`, `wait=p95(wait)`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Metric(text.to_owned(), EXPECTED);
        let (name, formula) = text.split_once('=').ok_or_else(wrong)?;
        let name = name.trim().to_owned();
        if name.is_empty() {
            return Err(wrong());
        }
        let formula = formula.trim();
        let plain = Self {
            name,
            numerator: Term { how: How::Sum, outcome: String::new() },
            denominator: None,
            quantile: None,
            is_lower_better: None,
            cap: None,
        };
        if let Some((p, outcome)) = formula.split_once('(').and_then(|(p, rest)| Some((quantile(p)?, rest))) {
            let outcome =
                outcome.strip_suffix(')').filter(|name| !name.contains(['(', ')'])).ok_or_else(wrong)?;
            let numerator = Term { how: How::Sum, outcome: outcome.trim().to_owned() };
            return Ok(Self { numerator, quantile: Some(p), ..plain });
        }
        if let Some(outcome) = formula.strip_prefix("mean(").and_then(|rest| rest.strip_suffix(')')) {
            let term = |how| Term { how, outcome: outcome.trim().to_owned() };
            let denominator = Some(term(How::Count));
            return Ok(Self { numerator: term(How::Sum), denominator, ..plain });
        }
        let (above, below) = match formula.split_once('/') {
            Some((above, below)) => (above, Some(below)),
            None => (formula, None),
        };
        let numerator = term(above).ok_or_else(wrong)?;
        let denominator = below.map(|below| term(below).ok_or_else(wrong)).transpose()?;
        Ok(Self { numerator, denominator, ..plain })
    }

    /// The terms of which it needs sums.
    pub fn terms(&self) -> impl Iterator<Item = &Term> {
        let numerator = self.quantile.is_none().then_some(&self.numerator);
        numerator.into_iter().chain(&self.denominator)
    }

    /// Whether it counts at most one event a unit or request: 0 is then a share, and says something.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.quantile.is_none() && (self.numerator.how == How::Any || self.numerator.outcome == "@errors")
    }

    /// The outcomes that it is made of; none for those of the exposures themselves.
    pub fn outcomes(&self) -> impl Iterator<Item = &str> {
        let terms = [Some(&self.numerator), self.denominator.as_ref()].into_iter().flatten();
        terms.filter(|term| !term.is_built_in()).map(|term| term.outcome.as_str())
    }

    /// How it is made, for people.
    #[must_use]
    pub fn formula(&self) -> String {
        let formula = self.uncapped();
        self.cap.map_or(formula.clone(), |cap| {
            format!("{formula}, each unit's {} capped at {cap}", self.numerator)
        })
    }

    fn uncapped(&self) -> String {
        match (&self.denominator, self.quantile) {
            (_, Some(p)) => {
                format!("p{} of {}", (p * 1e5).round() / 1e3, self.numerator.outcome.trim_start_matches('@'))
            }
            (None, None) => format!("mean over units of {}", self.numerator),
            (Some(below), None) => format!("{} / {below}", self.numerator),
        }
    }
}

/// `.95` of `p95`.
fn quantile(name: &str) -> Option<f64> {
    let percent: f64 = name.trim().strip_prefix('p')?.parse().ok()?;
    (percent > 0.0 && percent < 100.0).then_some(percent / 100.0)
}

fn term(text: &str) -> Option<Term> {
    let (how, rest) = text.trim().split_once('(')?;
    let outcome = rest.strip_suffix(')')?.trim();
    let how = match how {
        "sum" => How::Sum,
        "count" => How::Count,
        "any" => How::Any,
        _ => return None,
    };
    (!outcome.is_empty()).then(|| Term { how, outcome: outcome.to_owned() })
}

/// When an outcome counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From the first exposure on, inside the attribution window.
    After,
    /// In the window before it.
    Before,
}

/// A number of each unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What is summed.
    pub term: Term,
    /// When it counts.
    pub period: Period,
    /// Where it is cut off.
    pub cap: Option<Cap>,
}

/// What is summed per unit, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    all: Vec<Column>,
    /// Triples of columns whose third moments the skewness of a metric needs; each triple ascends.
    triples: Vec<[usize; 3]>,
}

impl Columns {
    /// All that `metrics` need, each once; with `has_before`, each outcome before the experiment, too.
    #[must_use]
    pub fn of(metrics: &[Metric], has_before: bool) -> Self {
        let mut columns = Self::default();
        for period in [Period::After, Period::Before] {
            for metric in metrics {
                for (at, term) in metric.terms().enumerate() {
                    let cap = metric.cap.filter(|_| at == 0);
                    let column = Column { term: term.clone(), period, cap };
                    let is_wanted = period == Period::After || (has_before && !term.is_built_in());
                    if is_wanted && !columns.all.contains(&column) {
                        columns.all.push(column);
                    }
                }
            }
        }
        for metric in metrics.iter().filter(|metric| metric.quantile.is_none()) {
            let triples = match columns.metric(metric) {
                Some(cuped::Metric::Mean(i)) => vec![[i; 3]],
                Some(cuped::Metric::Ratio { numerator: i, denominator: j }) => {
                    let (i, j) = (i.min(j), i.max(j));
                    vec![[i; 3], [i, i, j], [i, j, j], [j; 3]]
                }
                None => Vec::new(),
            };
            columns.triples.extend(triples);
        }
        columns.triples.sort_unstable();
        columns.triples.dedup();
        columns
    }

    /// In order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.all.iter()
    }

    /// Triples of columns whose third moments are needed, in order.
    #[must_use]
    pub fn triples(&self) -> &[[usize; 3]] {
        &self.triples
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn position(&self, term: &Term, period: Period, cap: Option<Cap>) -> Option<usize> {
        let is_it = |column: &Column| column.term == *term && column.period == period && column.cap == cap;
        self.all.iter().position(is_it)
    }

    /// Where a metric's terms are; `None` if these columns were made for others.
    #[must_use]
    pub fn metric(&self, metric: &Metric) -> Option<cuped::Metric> {
        let numerator = self.position(&metric.numerator, Period::After, metric.cap)?;
        Some(match &metric.denominator {
            None => cuped::Metric::Mean(numerator),
            Some(below) => {
                let denominator = self.position(below, Period::After, None)?;
                cuped::Metric::Ratio { numerator, denominator }
            }
        })
    }

    /// The same terms before the experiment.
    #[must_use]
    pub fn covariates(&self, metric: &Metric) -> Vec<usize> {
        let caps = [metric.cap, None].into_iter();
        metric.terms().zip(caps).filter_map(|(term, cap)| self.position(term, Period::Before, cap)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas() {
        let basket = Metric::parse("basket = sum(revenue)/count(order)").unwrap();
        assert_eq!(basket.formula(), "sum(revenue) / count(order)");
        assert_eq!(Metric::parse("l=mean(latency)").unwrap().formula(), "sum(latency) / count(latency)");
        assert_eq!(Metric::named("order").formula(), "mean over units of sum(order)");
        assert_eq!(Metric::parse("w = p99.9( wait )").unwrap().formula(), "p99.9 of wait");
        assert_eq!(Metric::parse("w=p95(wait)").unwrap().terms().count(), 0);
        assert_eq!(Metric::named("latency_p95").quantile, Some(0.95));
        for wrong in [
            "x=p0(a)",
            "x=p100(a)",
            "x=p95",
            "x=p95(a)/sum(b)",
            "x",
            "=sum(a)",
            "x=sum",
            "x=max(a)",
            "x=sum(a)/mean(b)",
            "x=sum()",
        ] {
            assert!(Metric::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_are_shared() {
        let metrics = [
            Metric::parse("a=sum(x)/count(y)").unwrap(),
            Metric::parse("b=sum(x)").unwrap(),
            Metric::named("http_5xx_rate"),
        ];
        let columns = Columns::of(&metrics, true);
        assert_eq!(columns.len(), 6);
        assert_eq!(columns.metric(&metrics[0]), Some(cuped::Metric::Ratio { numerator: 0, denominator: 1 }));
        assert_eq!(columns.covariates(&metrics[1]), [4]);
        assert_eq!(columns.covariates(&metrics[2]), [0_usize; 0]);
    }
}
