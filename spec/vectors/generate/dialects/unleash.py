"""Unleash: its engine evaluates a flexibleRollout strategy with variants."""

import json

from mmh3 import hash as mm3
from yggdrasil_engine.engine import UnleashEngine

import units

SOURCE = {
    "variant": "PyPI yggdrasil-engine 2.0.0, UnleashEngine.get_variant()",
    "bucket": "independent Python on mmh3 5.3.1 (the engine does not tell)",
}


def fixed_sets(_name):
    two = units.names(2)
    return [
        {"name": "halves", "params": {"group_id": "gr1", "variant_weights": [500, 500]}, "variants": two},
        {"name": "rollout at a known bucket", "params": {"group_id": "gr1", "rollout": 73, "variant_weights": [1000, 0]}, "variants": two},
        {"name": "rollout below it", "params": {"group_id": "gr1", "rollout": 72, "variant_weights": [333, 667]}, "variants": two},
        {"name": "one percent", "params": {"group_id": "feature", "rollout": 1, "variant_weights": [1, 1]}, "variants": two},
        {"name": "nobody", "params": {"group_id": "feature", "rollout": 0, "variant_weights": [1, 1]}, "variants": two},
        {"name": "sum is not 1000", "params": {"group_id": "groupX", "variant_weights": [1, 0, 2, 4]}, "variants": units.names(4)},
        {"name": "group not ASCII", "params": {"group_id": "\u65e5\u672c", "rollout": 50, "variant_weights": [100, 200, 700]}, "variants": units.names(3)},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    params = {"group_id": units.salt(rng), "rollout": rng.randint(0, 100), "variant_weights": units.whole_weights(rng, 1000, count)}
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, _variants):
    return {params.get("rollout", 100), *units.cumulative(params["variant_weights"])}


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    engine = UnleashEngine()
    rollout = params.get("rollout", 100)
    strategy = {
        "name": "flexibleRollout",
        "parameters": {"rollout": str(rollout), "stickiness": "userId", "groupId": params["group_id"]},
        "variants": [
            {"name": name, "weight": weight, "weightType": "fix", "stickiness": "userId"}
            for name, weight in zip(variants, params["variant_weights"])
        ],
    }
    engine.take_state(json.dumps({"version": 1, "features": [{"name": "f", "enabled": True, "strategies": [strategy]}]}))

    def normalized(unit, seed, modulus):
        return mm3(f"{params['group_id']}:{unit}", seed, signed=False) % modulus + 1

    def pick(unit):
        variant = engine.get_variant("f", {"userId": unit}).variant
        bucket = normalized(unit, 0, 100)
        if bucket <= rollout:
            bucket = normalized(unit, 86028157, sum(params["variant_weights"]))
        return variants.index(variant.name) if variant.enabled else None, bucket

    return lambda ids: [pick(unit) for unit in ids]
