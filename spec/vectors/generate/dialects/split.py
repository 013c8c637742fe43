"""Split: the SDK's evaluator runs a feature flag as the server sends it."""

import logging

from splitio.client import input_validator
from splitio.engine.evaluator import EvaluationContext, Evaluator
from splitio.engine.splitters import Splitter
from splitio.models import splits
from splitio.models.fallback_config import FallbackTreatmentCalculator, FallbackTreatmentsConfiguration

import units

SOURCE = {"variant": "PyPI splitio-client 10.7.0, Evaluator.eval_with_context()", "bucket": "its Splitter"}

OUT = "not-in-split"

# Treatments get names of their own: "control" is what the SDK says when there is no treatment.
PREFIX = "treatment-"


def fixed_sets(_name):
    two = units.names(2)
    return [
        {"name": "halves", "params": {"seed": 12345, "sizes": [50, 50]}, "variants": two},
        {"name": "ends at a known bucket", "params": {"seed": 12345, "sizes": [26, 74]}, "variants": two},
        {"name": "ends before it", "params": {"seed": 12345, "sizes": [25, 75]}, "variants": two},
        {"name": "a lone full partition", "params": {"seed": 1, "sizes": [100]}, "variants": units.names(1)},
        {"name": "full, but not alone", "params": {"seed": 1, "sizes": [100, 0]}, "variants": two},
        {"name": "sizes that leave a rest", "params": {"seed": -1, "sizes": [1, 0, 33]}, "variants": units.names(3)},
        {"name": "negative seed", "params": {"seed": -2147483648, "sizes": [10, 90]}, "variants": two},
        {"name": "traffic allocation", "params": {"seed": 7, "sizes": [50, 50], "traffic_allocation": 26, "traffic_allocation_seed": 12345}, "variants": two},
        {"name": "no traffic", "params": {"seed": 7, "sizes": [100], "traffic_allocation": 0, "traffic_allocation_seed": -9}, "variants": units.names(1)},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    params = {"seed": rng.randint(-(2**31), 2**31 - 1), "sizes": units.whole_weights(rng, rng.randint(50, 100), count)}
    if rng.random() < 0.5:
        params |= {"traffic_allocation": rng.randint(0, 100), "traffic_allocation_seed": rng.randint(-(2**31), 2**31 - 1)}
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, _variants):
    return {params.get("traffic_allocation", 100), *units.cumulative(params["sizes"])}


def oracles(_name, sets):
    logging.getLogger("splitio").setLevel(logging.CRITICAL)
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    treatments = [PREFIX + name for name in variants]
    flag = splits.from_raw(raw(params, treatments))
    splitter = Splitter()
    evaluator = Evaluator(splitter, FallbackTreatmentCalculator(FallbackTreatmentsConfiguration()))
    context = EvaluationContext({"flag": flag}, {}, {})
    allocation = params.get("traffic_allocation", 100)

    def pick(unit):
        if input_validator.validate_key(unit, "get_treatment") == (None, None) and not unit:
            return None, 0
        treatment = evaluator.eval_with_context(unit, unit, "flag", {}, context)["treatment"]
        variant = treatments.index(treatment) if treatment in treatments else None
        if allocation < 100:
            bucket = splitter.get_bucket(unit, params["traffic_allocation_seed"], flag.algo)
            if bucket > allocation:
                return variant, bucket
        if params["sizes"] == [100]:
            return variant, 0
        return variant, splitter.get_bucket(unit, params["seed"], flag.algo)

    return lambda ids: [pick(unit) for unit in ids]


def raw(params, treatments):
    return {
        "name": "flag",
        "trafficTypeName": "user",
        "seed": params["seed"],
        "algo": 2,
        "status": "ACTIVE",
        "killed": False,
        "defaultTreatment": OUT,
        "changeNumber": 1,
        "trafficAllocation": params.get("traffic_allocation", 100),
        "trafficAllocationSeed": params.get("traffic_allocation_seed", 0),
        "configurations": {},
        "conditions": [
            {
                "conditionType": "ROLLOUT",
                "label": "default rule",
                "matcherGroup": {"combiner": "AND", "matchers": [{"matcherType": "ALL_KEYS", "negate": False}]},
                "partitions": [{"treatment": t, "size": s} for t, s in zip(treatments, params["sizes"])],
            }
        ],
    }
