"""PlanOut: the Python implementation for ASCII, the JavaScript one (15 hex digits) for the rest."""

import collections
import collections.abc
import math

import units
from node import ask

# PlanOut 0.6.0 still imports this from where Python 3.10 removed it.
collections.MutableMapping = collections.abc.MutableMapping
from planout.assignment import Assignment  # noqa: E402
from planout.ops.random import RandomFloat, UniformChoice, WeightedChoice  # noqa: E402

SOURCE = {
    "variant": "PyPI PlanOut 0.6.0 where salts and id are ASCII, npm planout 5.3.0 (core compatible build) where not",
    "bucket": "floor(10000 n) of its RandomFloat",
}


def fixed_sets(_name):
    two, three = units.names(2), units.names(3)
    salts = {"experiment_salt": "exp", "parameter_salt": "param"}
    return [
        {"name": "uniform 2", "params": salts, "variants": two},
        {"name": "uniform 3", "params": salts, "variants": three},
        {"name": "uniform 7", "params": {"experiment_salt": "a.b", "parameter_salt": "c"}, "variants": units.names(7)},
        {"name": "equal weights are not uniform", "params": {**salts, "weights": [1, 1]}, "variants": two},
        {"name": "weights", "params": {**salts, "weights": [0.1, 0.2, 0.7]}, "variants": three},
        {"name": "percentages", "params": {**salts, "weights": [0, 33.3, 66.7]}, "variants": three},
        {"name": "one gets all", "params": {**salts, "weights": [0, 5, 0]}, "variants": three},
        {"name": "salt not ASCII", "params": {"experiment_salt": "\u65e5\u672c", "parameter_salt": "\u00e9", "weights": [1, 3]}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    params = {"experiment_salt": units.ascii_salt(rng), "parameter_salt": units.ascii_salt(rng)}
    if rng.random() < 0.7:
        params["weights"] = [rng.random() * 10 for _ in range(count)]
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, _variants):
    sums = units.cumulative(params.get("weights", [1]))
    return {math.floor(10_000 * sum / sums[-1]) for sum in sums}


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    def python(unit):
        choices = list(range(len(variants)))
        salt = params["parameter_salt"]
        assignment = Assignment(params["experiment_salt"])
        if "weights" in params:
            assignment["variant"] = WeightedChoice(choices=choices, weights=params["weights"], unit=unit, salt=salt)
        else:
            assignment["variant"] = UniformChoice(choices=choices, unit=unit, salt=salt)
        assignment["n"] = RandomFloat(min=0.0, max=1.0, unit=unit, salt=salt)
        return assignment["variant"], min(math.floor(10_000 * assignment["n"]), 9_999)

    def pick(ids):
        salts_ascii = (params["experiment_salt"] + params["parameter_salt"]).isascii()
        rest = [unit for unit in ids if not (salts_ascii and unit.isascii())]
        answers = dict(zip(rest, ask(system="planout", params=params, variants=variants, units=rest)))
        return [answers[unit] if unit in answers else python(unit) for unit in ids]

    return pick
