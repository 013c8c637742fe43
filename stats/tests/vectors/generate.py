"""Writes vectors.json: what scipy, statsmodels, mpmath and numpy say, for tests/vectors.rs.

    python3 -m venv target/tools/stats && target/tools/stats/bin/pip install -r stats/tests/vectors/requirements.txt
    target/tools/stats/bin/python stats/tests/vectors/generate.py

A row is [function, arguments, expected, relative tolerance]. The same on every run.
"""
import json
import math
import pathlib

import mpmath
import numpy as np
import statsmodels.api as sm
from scipy import integrate, optimize, special
from scipy import stats as st
from statsmodels.stats import multitest, proportion
from statsmodels.stats.power import TTestIndPower

mpmath.mp.dps = 40
rows = []
rng = np.random.default_rng(20261121)


def row(function, args, expected, tolerance=1e-10):
    rows.append([function, args, [float(x) for x in expected], tolerance])


def distributions():
    for z in [-20, -8, -3.3, -1.96, -0.75, 0, 1e-8, 0.5, 1.96, 4.9, 7]:
        row("normal_cdf", [z], [mpmath.ncdf(z)], 1e-13)
    for p in [1e-12, 1e-4, 0.0124999, 0.025, 0.3, 0.7, 0.975, 0.9999]:
        row("normal_quantile", [p], [mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p) - 1)], 1e-13)
    for df in [1, 2, 9, 99, 999]:
        for x in [0.01, 1, 3.84, 22.774, 99, 200]:
            p = mpmath.gammainc(mpmath.mpf(df) / 2, mpmath.mpf(x) / 2, regularized=True)
            if p > 1e-250:
                row("chi_square_sf", [x, df], [p], 1e-11)

    def t_sf(t, df):
        t, df = mpmath.mpf(t), mpmath.mpf(df)
        if df > 1e5:
            front = mpmath.gamma((df + 1) / 2) / (mpmath.sqrt(df * mpmath.pi) * mpmath.gamma(df / 2))
            return mpmath.quad(lambda x: front * (1 + x * x / df) ** (-(df + 1) / 2), [t, t + 5, t + 15, t + 40])
        tail = mpmath.betainc(df / 2, 0.5, 0, df / (df + t * t), regularized=True) / 2
        return tail if t > 0 else 1 - tail

    for df in [1, 2, 3.5, 30.7, 1000, 2e8]:
        for t in [0.01, 0.5, 1.96, 5, 10]:
            row("t_sf", [t, df], [t_sf(t, df)], 1e-12)
    for df in [1, 2, 3.5, 30.7, 1000]:
        for p in [1e-6, 0.025, 0.3, 0.95, 0.9995]:
            tail = min(p, 1 - p)
            start = abs(st.t.ppf(tail, df))
            t = mpmath.findroot(lambda t: t_sf(t, df) - (mpmath.mpf(p) if p < 0.5 else 1 - mpmath.mpf(p)), start)
            row("t_quantile", [p, df], [-t if p < 0.5 else t], 1e-12)
    for a, b in [(1, 1), (0.5, 0.5), (2, 5), (101, 901), (12345, 987655), (5e6, 5.1e7)]:
        m = a / (a + b)
        s = math.sqrt(m * (1 - m) / (a + b + 1))
        for k in [-3, -1, 0, 1, 3]:
            x = m + k * s
            if not 0 < x < 1:
                continue
            x, a, b = mpmath.mpf(x), mpmath.mpf(a), mpmath.mpf(b)
            density = mpmath.exp((a - 1) * mpmath.log(x) + (b - 1) * mpmath.log(1 - x) - mpmath.loggamma(a)
                                 - mpmath.loggamma(b) + mpmath.loggamma(a + b))
            row("beta_pdf", [float(x), float(a), float(b)], [density], 1e-10)
            if a < 1e6:
                row("beta_cdf", [float(x), float(a), float(b)], [special.betainc(float(a), float(b), float(x))], 2e-10)
            else:
                front = mpmath.loggamma(a + b) - mpmath.loggamma(a) - mpmath.loggamma(b)
                f = lambda u: mpmath.exp(front + (a - 1) * mpmath.log(u) + (b - 1) * mpmath.log(1 - u))
                cuts = [m - 12 * s] + [m + j * s for j in range(-8, 8) if j < k] + [x]
                row("beta_cdf", [float(x), float(a), float(b)], [mpmath.quad(f, cuts)], 1e-9)


def proportions():
    for (x1, n1), (x2, n2) in [((48, 80), (56, 70)), ((10, 10), (20, 20)), ((0, 10), (3, 11)), ((9, 10), (3, 10)),
                               ((5000, 100000), (5230, 99800)), ((1, 1000), (7, 1003))]:
        low, high = proportion.confint_proportions_2indep(x2, n2, x1, n1, method="newcomb")
        row("newcombe", [x1, n1, x2, n2, 0.05], [x2 / n2 - x1 / n1, low, high], 1e-9)
        if x1 / n1 != x2 / n2:
            def touches(log_alpha):
                alpha = math.exp(log_alpha)
                low, high = proportion.confint_proportions_2indep(x2, n2, x1, n1, method="newcomb", alpha=alpha)
                return low if x2 / n2 > x1 / n1 else high
            row("newcombe_p", [x1, n1, x2, n2], [math.exp(optimize.brentq(touches, -60, -1e-9, xtol=1e-13))], 1e-7)
            z, p = proportion.proportions_ztest([x2, x1], [n2, n1])
            row("pooled_z", [x1, n1, x2, n2], [z, p])
    for x, n in [(81, 263), (15, 148), (0, 20), (20, 20), (1, 29), (500, 1000000)]:
        for alpha in [0.05, 0.001]:
            row("wilson", [x, n, alpha], proportion.proportion_confint(x, n, alpha, "wilson"), 1e-9)


def fieller(c, t, se_c, se_t, crit):
    """By root finding on the definition, not by the formula."""
    f = lambda r: (t - r * c) ** 2 - crit ** 2 * (se_t ** 2 + r * r * se_c ** 2)
    r = t / c
    step = (se_t / abs(c) + se_c * abs(t) / c ** 2)
    def edge(sign):
        far = r + sign * step
        while f(far) < 0:
            far = r + (far - r) * 1.3
        return optimize.brentq(f, r, far, xtol=1e-15)
    return sorted([edge(-1) - 1, edge(1) - 1])


def lifts():
    for n1, n2, m1, m2, s1, s2 in [(20, 35, 10, 12, 2, 5), (400, 380, 5, 5.1, 1, 1), (1000, 3000, -3, -2, 4, 2), (6, 5, 100, 90, 3, 9)]:
        a, b = rng.normal(m1, s1, n1), rng.normal(m2, s2, n2)
        for alpha in [0.05, 0.01]:
            t = st.ttest_ind(b, a, equal_var=False)
            ci = t.confidence_interval(1 - alpha)
            crit = st.t.ppf(1 - alpha / 2, t.df)
            rel = fieller(a.mean(), b.mean(), st.sem(a), st.sem(b), crit)
            # Changes are divided by the control's absolute mean.
            rel = rel if a.mean() > 0 else (-rel[1], -rel[0])
            change = (b.mean() - a.mean()) / abs(a.mean())
            row("lift", [list(a), list(b), alpha],
                [b.mean() - a.mean(), t.df, ci.low, ci.high, change, *rel, t.statistic, t.pvalue], 1e-8)
    for n in [30, 500]:
        d = rng.poisson(3, n).astype(float)
        u = rng.binomial(d.astype(int), 0.3) + rng.normal(0, 0.1, n)
        r = u.sum() / d.sum()
        row("ratio", [list(u), list(d)], [r, np.std(u - r * d, ddof=1) / math.sqrt(n) / d.mean()])


def powers():
    for p1, p2, alpha, power, ratio in [(0.10, 0.12, 0.05, 0.8, 1), (0.5, 0.45, 0.01, 0.9, 1), (0.02, 0.025, 0.05, 0.8, 3), (0.3, 0.2, 0.05, 0.8, 0.5)]:
        # statsmodels gives the sample of the first of its two shares.
        n = proportion.samplesize_proportions_2indep_onetail(p1 - p2, p2, power, ratio, alpha)
        row("units_for_shares", [p1, p2, alpha, power, ratio], [n], 1e-9)
        row("detectable_share", [p1, n, alpha, power, ratio], [abs(p2 - p1)] if p2 > p1 else [optimize.brentq(
            lambda e: proportion.samplesize_proportions_2indep_onetail(-e, p1 + e, power, ratio, alpha) - n, 1e-4, 0.6, xtol=1e-14)], 1e-8)
    solver = TTestIndPower()
    for d, alpha, power, ratio in [(0.5, 0.05, 0.8, 1), (0.2, 0.01, 0.9, 2), (1.5, 0.05, 0.95, 1), (0.05, 0.05, 0.8, 1)]:
        row("units_for_t_test", [d, alpha, power, ratio], [solver.solve_power(d, None, alpha, power, ratio)], 1e-6)
    for d, n, alpha, ratio in [(0.5, 64, 0.05, 1), (0.1, 20, 0.05, 1), (0, 50, 0.05, 1), (2, 4, 0.05, 1.5)]:
        row("t_test_power", [d, n, ratio, alpha], [solver.power(d, n, alpha, ratio)], 1e-8)
    for e, s1, s2, alpha, power, ratio in [(0.5, 1, 1, 0.05, 0.8, 1), (2, 10, 14, 0.05, 0.9, 2)]:
        z = st.norm.isf(alpha / 2) + st.norm.ppf(power)
        row("units_for_means", [e, s1, s2, alpha, power, ratio], [z * z * (s1 ** 2 + s2 ** 2 / ratio) / e ** 2])
        n = z * z * (s1 ** 2 + s1 ** 2 / ratio) / e ** 2
        row("detectable_mean", [s1, n, alpha, power, ratio], [e])


def sequential_powers():
    """Units whose confidence sequence at its end finds the effect: by root finding on the definition, in the boundary's own scale."""
    def root(effect, s1, s2, alpha, power, ratio, tuned):
        log = -2 * mpmath.log(mpmath.mpf(alpha))
        rho2 = (log + mpmath.log(log) + 1) / tuned
        z = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(power) - 1)
        def short(n):
            t = n * (1 + ratio)
            # The half width over sigma after t units, times sqrt t, is in standard errors.
            radius = mpmath.sqrt(2 * (t * rho2 + 1) / (t ** 2 * rho2) * mpmath.log(mpmath.sqrt(t * rho2 + 1) / alpha))
            se = mpmath.sqrt((s1 ** 2 + s2 ** 2 / mpmath.mpf(ratio)) / n)
            return abs(effect) - (radius * mpmath.sqrt(t) + z) * se
        return mpmath.findroot(short, (mpmath.mpf(1), mpmath.mpf(10) ** 12), solver="anderson", tol=1e-30, maxsteps=2000)
    for effect, s1, s2, alpha, power, ratio, tuned in [
            (0.02, 0.3, 0.3, 0.05, 0.8, 1, 20000), (0.02, 0.3, 0.3, 0.025, 0.8, 1, 1000), (-1.5, 10, 14, 0.05, 0.95, 2, 500),
            (0.001, 0.5, 0.5, 0.01, 0.9, 0.25, 20000)]:
        n = root(effect, s1, s2, alpha, power, ratio, tuned)
        row("units_at_every_look", [effect, s1, s2, alpha, power, ratio, tuned], [n], 1e-9)
    for p1, p2, alpha, power, ratio, tuned in [(0.1, 0.12, 0.05, 0.8, 1, 20000), (0.02, 0.025, 0.0125, 0.8, 3, 20000)]:
        n = root(p2 - p1, math.sqrt(p1 * (1 - p1)), math.sqrt(p2 * (1 - p2)), alpha, power, ratio, tuned)
        row("shares_at_every_look", [p1, p2, alpha, power, ratio, tuned], [n, p2 - p1], 1e-9)
    # Planned looks: the drift at which scipy's multivariate normal leaves 1 - power between the bounds.
    for times, bounds, power in [([1], [1.959963984540054], 0.8), ([0.5, 1], [2.8, 1.98], 0.8), ([0.2, 0.5, 1], [4.0, 2.8, 2.0], 0.95)]:
        cov = [[math.sqrt(min(a, b) / max(a, b)) for b in times] for a in times]
        def inside(drift):
            mean = drift * np.sqrt(times)
            return st.multivariate_normal.cdf(np.array(bounds), mean=mean, cov=cov, lower_limit=-np.array(bounds), abseps=1e-9,
                                              releps=1e-9, maxpts=4000000, rng=np.random.default_rng(1))
        row("drift", [bounds, times, power], [optimize.brentq(lambda d: inside(d) - (1 - power), 1, 8, xtol=1e-8)], 1e-5)


def srm():
    for counts, shares in [([821588, 815482], [1, 1]), ([10000, 10100, 5000], [2, 2, 1]), ([5, 5], [1, 1]), ([0, 30], [1, 9])]:
        expected = np.array(shares) / sum(shares) * sum(counts)
        row("srm", [counts, shares], st.chisquare(counts, expected))
    for shares, mixture in [([0.5, 0.5], [[10000, 1]]), ([0.2, 0.3, 0.5], [[100, 1]]),
                            ([0.5, 0.5], [[100, 0.1], [1000, 0.4], [10000, 0.5]])]:
        # As a product of predictive probabilities, one unit at a time.
        seen = np.zeros(len(shares))
        best, looks, ps = 0.0, [], []
        factors = [0.0 for _ in mixture]
        skewed = np.array(shares) * [1.15] + 0.0
        skewed[-1] = 1 - skewed[:-1].sum()
        for i in range(1, 3001):
            arm = rng.choice(len(shares), p=skewed)
            for at, (concentration, _) in enumerate(mixture):
                predictive = (concentration * shares[arm] + seen[arm]) / (concentration + seen.sum())
                factors[at] += math.log(predictive / shares[arm])
            seen[arm] += 1
            if i % 500 == 0:
                best = max(best, math.log(sum(weight * math.exp(f) for f, (_, weight) in zip(factors, mixture))))
                looks.append(list(seen))
                ps.append(math.exp(-best))
        row("srm_sequential", [shares, mixture, looks], ps, 1e-8)


def cuped():
    n = 200
    x = rng.normal(5, 2, (2 * n, 2))
    x[:, 1] += 0.5 * x[:, 0]
    arm = np.repeat([0.0, 1.0], n)
    y = 3 + 1.5 * x[:, 0] - 0.7 * x[:, 1] + 0.4 * arm + rng.normal(0, 1, 2 * n)
    for columns in [[0], [0, 1]]:
        # Analysis of covariance: the same coefficients, from another direction.
        fit = sm.OLS(y, np.column_stack([np.ones(2 * n), arm, x[:, columns]])).fit()
        theta = fit.params[2:]
        rest = y - x[:, columns] @ theta
        se = [st.sem(rest[arm == a]) for a in (0, 1)]
        row("cuped", [[list(v) for v in np.column_stack([y, x])[arm == 0]], [list(v) for v in np.column_stack([y, x])[arm == 1]], [c + 1 for c in columns]],
            [fit.params[1], *se, *theta], 1e-8)
    d = rng.poisson(4, 2 * n) + 1.0
    u = d * (0.3 + 0.05 * arm) + 0.4 * x[:, 0] + rng.normal(0, 1, 2 * n)
    z = np.empty(2 * n)
    ratios = []
    for a in (0, 1):
        k = arm == a
        r = u[k].sum() / d[k].sum()
        ratios.append(r)
        z[k] = (u[k] - r * d[k]) / d[k].mean()
    fit = sm.OLS(z, np.column_stack([np.ones(2 * n), arm, x[:, [0]]])).fit()
    rest = z - x[:, 0] * fit.params[2]
    table = np.column_stack([u, d, x[:, 0]])
    row("cuped_ratio", [[list(v) for v in table[arm == 0]], [list(v) for v in table[arm == 1]]],
        [ratios[1] - ratios[0] + fit.params[1], *[st.sem(rest[arm == a]) for a in (0, 1)], fit.params[2]], 1e-8)


def sequences():
    for alpha, tuned, n in [(0.05, 1000, 100), (0.05, 1000, 1000), (0.01, 10000, 250000)]:
        log = -2 * math.log(alpha)
        rho = math.sqrt((log + math.log(log) + 1) / tuned)
        boundary = math.sqrt(2 * (n * rho ** 2 + 1) / (n ** 2 * rho ** 2) * math.log(math.sqrt(n * rho ** 2 + 1) / alpha))
        row("sequence_critical", [alpha, tuned, n], [boundary * math.sqrt(n)])
        critical = lambda a: math.sqrt(2 * (n * rho ** 2 + 1) / (n * rho ** 2) * math.log(math.sqrt(n * rho ** 2 + 1) / a))
        row("sequence_p", [alpha, tuned, n, 4.0], [min(1, optimize.brentq(lambda a: critical(a) - 4.0, 1e-9, math.sqrt(n * rho ** 2 + 1) * (1 - 1e-12), xtol=1e-16))], 1e-6)


def group_sequential():
    """Crossing probabilities by scipy's multivariate normal; good to 1e-5."""
    for times, bounds in [([0.5, 1], [2.8, 1.98]), ([0.2, 0.5, 1], [1.96] * 3), ([0.1, 0.3, 0.35, 1], [3, 2.5, 2.4, 2])]:
        cov = [[math.sqrt(min(a, b) / max(a, b)) for b in times] for a in times]
        inside = st.multivariate_normal.cdf(np.array(bounds), cov=cov, lower_limit=-np.array(bounds), abseps=1e-8,
                                             releps=1e-8, maxpts=4000000, rng=np.random.default_rng(1))
        row("crossing_probability", [bounds, times], [1 - inside], 1e-4)


def bayes():
    for (s1, n1), (s2, n2) in [((10, 100), (15, 100)), ((1000, 10000), (1050, 10000)), ((0, 5), (5, 5)), ((50000, 1000000), (50100, 1000000))]:
        a, b = st.beta(1 + s1, 1 + n1 - s1), st.beta(1 + s2, 1 + n2 - s2)
        # Miller's sum over integer parameters.
        i = np.arange(0, 1 + s2)
        p = np.exp(special.betaln(1 + s1 + i, 2 + n1 - s1 + n2 - s2) - np.log(1 + n2 - s2 + i) - special.betaln(1 + i, 1 + n2 - s2) - special.betaln(1 + s1, 1 + n1 - s1)).sum()
        low, high = min(a.ppf(1e-14), b.ppf(1e-14)), max(a.isf(1e-14), b.isf(1e-14))
        points = list(np.linspace(low, high, 30)[1:-1])
        # E[(B - A)+] = integral of F_A (1 - F_B)
        loss_a = integrate.quad(lambda x: a.cdf(x) * b.sf(x), low, high, points=points, limit=500, epsabs=1e-14)[0]
        loss_b = integrate.quad(lambda x: b.cdf(x) * a.sf(x), low, high, points=points, limit=500, epsabs=1e-14)[0]
        row("bayes_shares", [s1, n1, s2, n2], [1 - p, p, loss_a, loss_b], 1e-7)
    for m1, s1, m2, s2 in [(0, 1, 0.5, 1), (10, 0.1, 10.2, 0.3), (5, 1, 5, 0.01)]:
        s = math.hypot(s1, s2)
        z = (m2 - m1) / s
        loss = lambda z: s * (st.norm.pdf(z) + z * st.norm.cdf(z))
        row("bayes_normals", [[m1, m2], [s1, s2]], [st.norm.cdf(-z), st.norm.cdf(z), loss(z), loss(-z)], 1e-8)
    m, s = [0, 0.3, 0.1], [0.2, 0.3, 0.1]
    f = [st.norm(*ms) for ms in zip(m, s)]
    best = [integrate.quad(lambda x: f[i].pdf(x) * np.prod([f[j].cdf(x) for j in range(3) if j != i]), -2, 3, limit=200)[0] for i in range(3)]
    top = integrate.quad(lambda x: x * sum(f[i].pdf(x) * np.prod([f[j].cdf(x) for j in range(3) if j != i]) for i in range(3)), -2, 3, limit=200)[0]
    row("bayes_normals", [m, s], best + [top - x for x in m], 1e-8)


def multiple():
    paper = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    for p in [paper, list(rng.permutation(paper)), [0.01, 0.01, 0.5], [0.2]]:
        for ours, theirs in [("bonferroni", "bonferroni"), ("holm", "holm"), ("benjamini_hochberg", "fdr_bh")]:
            row(ours, [p], multitest.multipletests(p, method=theirs)[1])


def quantiles():
    x = np.sort(rng.lognormal(3, 1, 301))
    for p in [0.05, 0.5, 0.95]:
        half = st.norm.isf(0.025) * math.sqrt(p * (1 - p) / len(x))
        row("quantile", [list(x), p], [np.quantile(x, p), np.quantile(x, p - half), np.quantile(x, min(1, p + half))])


def clusters():
    """Design effects as GEE with an independent working correlation has them: robust variance over the model's own."""
    draws = np.random.default_rng(20261201)

    def arm(units, rate, retries):
        trials = draws.integers(1, 6, units)
        events = (draws.random(units) < rate).astype(int)
        again = np.where(events > 0, draws.integers(0, retries, units), 0)
        return np.stack([events + again, trials + again], axis=1)

    def effect(units):
        trials = np.concatenate([[1] * int(e) + [0] * int(d - e) for e, d in units])
        group = np.repeat(np.arange(len(units)), units[:, 1])
        fit = sm.GEE(trials, np.ones((len(trials), 1)), groups=group, family=sm.families.Binomial()).fit(ctol=1e-12, scale=1.0)
        return fit.cov_robust[0, 0] / fit.cov_naive[0, 0]

    for units, rate, retries in [(400, 0.01, 12), (300, 0.05, 60), (500, 0.02, 1)]:
        arms = [arm(units, rate, retries), arm(units + 57, rate, retries)]
        both = effect(np.concatenate(arms))
        expected = []
        for one in arms:
            share, all_trials = one[:, 0].sum() / one[:, 1].sum(), one[:, 1].sum()
            trials = all_trials / max(1, both, effect(one))
            expected += list(proportion.proportion_confint(share * trials, trials, 0.05, method="wilson"))
        row("clustered", [arms[0].tolist(), arms[1].tolist()], expected, 1e-7)


def skewness():
    draws = np.random.default_rng(20261202)
    y, d = draws.lognormal(1, 1.2, 400), draws.poisson(3, 400) + 1.0
    y[draws.random(400) < 0.6] = 0
    ratio = y.sum() / d.sum()
    for shift in [0, 1e7]:
        # A large mean must not cost digits; it is subtracted here first.
        row("skewness", [list(y + shift), list(d), shift + 3.0], [st.skew(y), st.skew(d), np.var((y + shift) - shift, ddof=1)], 1e-7)
    row("skewness_of_ratio", [list(y), list(d)], [st.skew((y - ratio * d) / d.mean())], 1e-9)


def repeated():
    """Repeated p of two looks: Lan and DeMets' bounds by scipy's quadrature, solved for alpha."""
    def bound(alpha, times):
        spent = lambda t: 2 * st.norm.cdf(st.norm.ppf(alpha / 4) / math.sqrt(t))
        first = st.norm.isf(spent(times[0]))
        # Above the second bound and inside the first.
        correlation = math.sqrt(times[0] / times[1])
        after = lambda x, b: st.norm.pdf(x) * st.norm.sf((b - correlation * x) / math.sqrt(1 - correlation ** 2))
        inside = lambda b: integrate.quad(after, -first, first, args=(b,), epsabs=1e-15, limit=200)[0]
        return optimize.brentq(lambda b: inside(b) - (spent(times[1]) - spent(times[0])), 0, 12, xtol=1e-12)

    for times, z in [([0.5, 1], 2.0), ([0.5, 1], 2.9), ([0.3, 0.7], 3.1)]:
        row("repeated_p", [times, z], [optimize.brentq(lambda a: bound(a, times) - z, 1e-7, 0.9, xtol=1e-14)], 1e-5)


def negative_baselines():
    draws = np.random.default_rng(20261203)
    a, b = draws.normal(-10, 4, 150), draws.normal(-5, 6, 140)
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    t = st.ttest_ind(b, a, equal_var=False)
    critical = st.t.isf(0.025, t.df)
    # Fieller's ratios are those at which the statistic of b - r a is the critical one.
    statistic = lambda r: (b.mean() - r * a.mean()) / math.sqrt(vb + r * r * va)
    low, high = sorted(optimize.brentq(lambda r: statistic(r) - side * critical, -3, 3, xtol=1e-14) for side in (-1, 1))
    change = (b.mean() - a.mean()) / abs(a.mean())
    row("relative", [list(a), list(b), 0.05], [change, 1 - high, 1 - low, t.pvalue], 1e-9)


def looks_once():
    for effect, s, ratio in [(0.5, 1, 1), (0.8, 1, 1), (1.6, 1, 1), (0.3, 2.5, 3)]:
        n = TTestIndPower().solve_power(effect / s, power=0.8, alpha=0.05, ratio=ratio)
        row("units_once", [effect, s, s, 0.05, 0.8, ratio], [n, effect], 1e-6)


for part in [distributions, proportions, lifts, powers, srm, cuped, sequences, group_sequential, bayes, multiple, quantiles, sequential_powers,
             clusters, skewness, repeated, negative_baselines, looks_once]:
    part()
path = pathlib.Path(__file__).with_name("vectors.json")
plain = lambda x: float(x) if isinstance(x, np.floating) else int(x)
path.write_text("[\n" + ",\n".join(json.dumps(r, default=plain) for r in rows) + "\n]\n")
print(len(rows), "rows")
