"""flagd: the in-process evaluator resolves a flag with a fractional rule."""

from mmh3 import hash as mm3
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

import units

SOURCE = {
    "variant": "PyPI openfeature-flagd-core 1.0.0, FlagdCore.resolve_string_value()",
    "bucket": "independent Python on mmh3 5.3.1 (the evaluator does not tell)",
}

OUT = "default"


def fixed_sets(_name):
    two = units.names(2)
    return [
        {"name": "halves", "params": {"flag_key": "my-flag", "weights": [50, 50]}, "variants": two},
        {"name": "thirds", "params": {"flag_key": "my-flag", "weights": [1, 1, 1]}, "variants": units.names(3)},
        {"name": "weights of 0", "params": {"flag_key": "f", "weights": [0, 10, 0, 90]}, "variants": units.names(4)},
        {"name": "fine weights", "params": {"flag_key": "f", "weights": [12345, 87655]}, "variants": two},
        {"name": "the largest sum", "params": {"flag_key": "f", "weights": [1073741824, 1073741823]}, "variants": two},
        {"name": "key not ASCII", "params": {"flag_key": "\u65e5\u672c", "weights": [30, 70]}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    total = rng.choice([100, 1000, 99_991, 2**31 - 1])
    params = {"flag_key": units.salt(rng), "weights": units.whole_weights(rng, total, count)}
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, _variants):
    return {0, *units.cumulative(params["weights"])}


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    key, weights = params["flag_key"], params["weights"]
    core = FlagdCore()
    flag = {
        "state": "ENABLED",
        "variants": {name: name for name in [*variants, OUT]},
        "defaultVariant": OUT,
        "targeting": {"fractional": [[name, weight] for name, weight in zip(variants, weights)]},
    }
    core.set_flags({"flags": {key: flag}})

    def pick(unit):
        value = core.resolve_string_value(key, OUT, EvaluationContext(targeting_key=unit)).value
        bucket = mm3(key + unit, 0, signed=False) * sum(weights) >> 32
        return (variants.index(value), bucket) if value != OUT else (None, 0)

    return lambda ids: [pick(unit) for unit in ids]
