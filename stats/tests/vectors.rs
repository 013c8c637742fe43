//! Every function against what scipy, statsmodels, mpmath and numpy say: `tests/vectors/generate.py`.

use std::collections::BTreeMap;

use serde_json::Value;
use splitway_stats::bayes::{Posterior, compare};
use splitway_stats::cuped::{Metric, adjust};
use splitway_stats::lift::{Estimate, lift, mean, ratio};
use splitway_stats::power::{self, Design, Looks};
use splitway_stats::proportion::{Share, clustered, newcombe, pooled_z};
use splitway_stats::sequential::ConfidenceSequence;
use splitway_stats::{Moments, Sums, distribution, group_sequential, multiple, quantile, srm};

#[test]
fn all_functions_agree_with_independent_programs() {
    let rows: Vec<(String, Vec<Value>, Vec<f64>, f64)> =
        serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (function, arguments, expected, tolerance) in rows {
        let found = evaluate(&function, &Arguments(arguments.clone()));
        assert_eq!(found.len(), expected.len(), "{function}");
        for (found, expected) in found.iter().zip(&expected) {
            // Below 1e-12 of the unit, differences of probabilities and zeros are compared absolutely.
            let error = (found - expected).abs() / expected.abs().max(1e-300);
            if !(error <= tolerance || (found - expected).abs() <= 1e-14) {
                let arguments = serde_json::to_string(&arguments).unwrap();
                wrong.push(format!("{function} {:.90}: {found} not {expected} ({error:.1e})", arguments));
            }
        }
        *seen.entry(function).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(seen.len(), 41, "{seen:?}");
}

struct Arguments(Vec<Value>);

impl Arguments {
    fn number(&self, at: usize) -> f64 {
        self.0[at].as_f64().unwrap()
    }

    fn list(&self, at: usize) -> Vec<f64> {
        serde_json::from_value(self.0[at].clone()).unwrap()
    }

    fn table(&self, at: usize) -> Vec<Vec<f64>> {
        serde_json::from_value(self.0[at].clone()).unwrap()
    }

    fn share(&self, at: usize) -> Share {
        Share::new(self.number(at), self.number(at + 1)).unwrap()
    }

    fn design(&self, at: usize) -> Design {
        Design { alpha: self.number(at), power: self.number(at + 1), ratio: self.number(at + 2) }
    }
}

fn moments(units: &[Vec<f64>]) -> Moments {
    let mut moments = Moments::new(units[0].len());
    units.iter().for_each(|unit| moments.push(unit));
    moments
}

fn column(values: &[f64]) -> Estimate {
    let units: Vec<Vec<f64>> = values.iter().map(|value| vec![*value]).collect();
    mean(&moments(&units), 0).unwrap()
}

fn evaluate(function: &str, a: &Arguments) -> Vec<f64> {
    let n = |at| a.number(at);
    match function {
        "normal_cdf" => vec![distribution::normal_cdf(n(0))],
        "normal_quantile" => vec![distribution::normal_quantile(n(0))],
        "chi_square_sf" => vec![distribution::chi_square_sf(n(0), n(1))],
        "t_sf" => vec![distribution::t_sf(n(0), n(1))],
        "t_quantile" => vec![distribution::t_quantile(n(0), n(1))],
        "beta_cdf" => vec![distribution::beta_cdf(n(0), n(1), n(2))],
        "beta_pdf" => vec![distribution::beta_pdf(n(0), n(1), n(2))],
        "newcombe" => {
            let found = newcombe(a.share(0), a.share(2), n(4)).unwrap();
            vec![found.absolute, found.interval.low, found.interval.high]
        }
        "newcombe_p" => vec![newcombe(a.share(0), a.share(2), 0.05).unwrap().p],
        "pooled_z" => {
            let (z, p) = pooled_z(a.share(0), a.share(2)).unwrap();
            vec![z, p]
        }
        "wilson" => {
            let found = a.share(0).wilson(n(2)).unwrap();
            vec![found.low, found.high]
        }
        "lift" => {
            let found = lift(&column(&a.list(0)), &column(&a.list(1)), n(2)).unwrap();
            let relative = found.relative_interval.unwrap();
            vec![
                found.absolute,
                found.degrees,
                found.interval.low,
                found.interval.high,
                found.relative.unwrap(),
                relative.low,
                relative.high,
                found.statistic,
                found.p,
            ]
        }
        "ratio" => {
            let units: Vec<Vec<f64>> =
                a.list(0).into_iter().zip(a.list(1)).map(|(u, d)| vec![u, d]).collect();
            let found = ratio(&moments(&units), 0, 1).unwrap();
            vec![found.value, found.standard_error]
        }
        "units_for_shares" => vec![power::units_for_shares(n(0), n(1), &a.design(2)).unwrap()],
        "detectable_share" => vec![power::detectable_share(n(0), n(1), &a.design(2)).unwrap()],
        "units_for_t_test" => vec![power::units_for_t_test(n(0), &a.design(1)).unwrap()],
        "t_test_power" => vec![power::t_test_power(n(0), n(1), n(2), n(3)).unwrap()],
        "units_for_means" => vec![power::units_for_means(n(0), (n(1), n(2)), &a.design(3)).unwrap()],
        "detectable_mean" => vec![power::detectable_mean(n(0), n(1), &a.design(2)).unwrap()],
        "units_at_every_look" => {
            let looks = Looks::Always { tuned_for: n(6) };
            vec![power::units_to_find(n(0), (n(1), n(2)), &a.design(3), &looks).unwrap()]
        }
        "shares_at_every_look" => {
            let (design, looks) = (a.design(2), Looks::Always { tuned_for: n(5) });
            let units = power::units_to_tell_shares(n(0), n(1), &design, &looks).unwrap();
            vec![units, power::share_found(n(0), units, &design, &looks).unwrap()]
        }
        "drift" => vec![group_sequential::drift(&a.list(0), &a.list(1), n(2)).unwrap()],
        "srm" => {
            let found = srm::check(&a.list(0), &a.list(1)).unwrap();
            vec![found.statistic, found.p]
        }
        "srm_sequential" => {
            let mut check = srm::Sequential::new(
                &a.list(0),
                &a.table(1).iter().map(|m| (m[0], m[1])).collect::<Vec<_>>(),
            )
            .unwrap();
            a.table(2).iter().map(|counts| check.look(counts).unwrap()).collect()
        }
        "cuped" => {
            let (control, treatment) = (moments(&a.table(0)), moments(&a.table(1)));
            let covariates: Vec<usize> = a.list(2).iter().map(|c| *c as usize).collect();
            adjusted(&control, &treatment, Metric::Mean(0), &covariates)
        }
        "cuped_ratio" => {
            let (control, treatment) = (moments(&a.table(0)), moments(&a.table(1)));
            adjusted(&control, &treatment, Metric::Ratio { numerator: 0, denominator: 1 }, &[2])
        }
        "sequence_critical" => vec![ConfidenceSequence::new(n(0), n(1)).unwrap().critical(n(2))],
        "sequence_p" => vec![ConfidenceSequence::new(n(0), n(1)).unwrap().p(n(3), n(2))],
        "crossing_probability" => {
            vec![group_sequential::crossing_probability(&a.list(0), &a.list(1)).unwrap()]
        }
        "bayes_shares" => {
            let posterior = |at| Posterior::share(n(at), n(at + 1), (1.0, 1.0)).unwrap();
            standings(&[posterior(0), posterior(2)])
        }
        "bayes_normals" => {
            let pairs = a.list(0).into_iter().zip(a.list(1));
            let arms: Vec<Posterior> =
                pairs.map(|(mean, deviation)| Posterior::Normal { mean, deviation }).collect();
            standings(&arms)
        }
        "bonferroni" => multiple::bonferroni(&a.list(0)),
        "holm" => multiple::holm(&a.list(0)),
        "benjamini_hochberg" => multiple::benjamini_hochberg(&a.list(0)),
        "quantile" => {
            let interval = quantile::interval(&a.list(0), n(1), 0.05).unwrap();
            vec![quantile::quantile(&a.list(0), n(1)).unwrap(), interval.low, interval.high]
        }
        "clustered" => {
            let (control, treatment) = (moments(&a.table(0)), moments(&a.table(1)));
            let shares = clustered([&control, &treatment], 0, Some(1)).unwrap();
            shares
                .into_iter()
                .flat_map(|share| {
                    let found = share.wilson(0.05).unwrap();
                    [found.low, found.high]
                })
                .collect()
        }
        "skewness" => {
            // In two halves, about a centre that is not the mean, so that merging is tested, too.
            let (y, d) = (a.list(0), a.list(1));
            let mut all = centred(&y[..150], &d[..150], [n(2), 3.0]);
            all.merge(&centred(&y[150..], &d[150..], [n(2) + 0.5, 2.5])).unwrap();
            let one = |column| all.skewness_of(&[(column, 1.0)]).unwrap();
            vec![one(0), one(1), all.covariance(0, 0)]
        }
        "skewness_of_ratio" => {
            let all = centred(&a.list(0), &a.list(1), [0.0, 0.0]);
            let value = all.mean(0) / all.mean(1);
            vec![all.skewness_of(&[(0, 1.0 / all.mean(1)), (1, -value / all.mean(1))]).unwrap()]
        }
        "repeated_p" => {
            let spending = group_sequential::Spending::ObrienFleming;
            vec![group_sequential::repeated_p(spending, &a.list(0), n(1)).unwrap()]
        }
        "relative" => {
            let found = lift(&column(&a.list(0)), &column(&a.list(1)), n(2)).unwrap();
            let relative = found.relative_interval.unwrap();
            vec![found.relative.unwrap(), relative.low, relative.high, found.p]
        }
        "units_once" => {
            let design = a.design(3);
            let units = power::units_to_find(n(0), (n(1), n(2)), &design, &Looks::Once).unwrap();
            vec![units, power::effect_found(n(1), units, &design, &Looks::Once).unwrap()]
        }
        other => panic!("no function {other}"),
    }
}

/// Moments with third moments of two columns.
fn centred(y: &[f64], d: &[f64], centres: [f64; 2]) -> Moments {
    let units: Vec<[f64; 2]> = y.iter().zip(d).map(|(y, d)| [*y, *d]).collect();
    let off = |unit: &[f64; 2], column: usize| unit[column] - centres[column];
    let sum = |of: &dyn Fn(&[f64; 2]) -> f64| units.iter().map(of).sum::<f64>();
    let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let triples = [[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]];
    let sums = Sums {
        count: units.len() as f64,
        centres: centres.to_vec(),
        sums: (0..2).map(|i| sum(&|unit| unit[i])).collect(),
        products: pairs.map(|(i, j)| sum(&|unit| off(unit, i) * off(unit, j))).to_vec(),
        thirds: triples.map(|t| (t, sum(&|unit| t.iter().map(|i| off(unit, *i)).product()))).to_vec(),
    };
    Moments::from_centred(&sums).unwrap()
}

/// Lift, both standard errors, coefficients.
fn adjusted(control: &Moments, treatment: &Moments, metric: Metric, covariates: &[usize]) -> Vec<f64> {
    let found = adjust(&[control, treatment], metric, covariates).unwrap();
    let lift = found.arms[1].value - found.arms[0].value;
    let mut all = vec![lift, found.arms[0].standard_error, found.arms[1].standard_error];
    all.extend(found.theta);
    all
}

fn standings(arms: &[Posterior]) -> Vec<f64> {
    let found = compare(arms);
    found.iter().map(|s| s.probability_best).chain(found.iter().map(|s| s.expected_loss)).collect()
}
