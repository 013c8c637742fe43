"""Optimizely: the Python SDK evaluates a datafile."""

import json

from optimizely import logger
from optimizely.optimizely import Optimizely

import units

SOURCE = {"variant": "PyPI optimizely-sdk 5.7.0, Optimizely.get_variation()", "bucket": "its Bucketer"}


def allocation(*entries):
    return [{"variant": variant, "end_of_range": end} for variant, end in entries]


def fixed_sets(_name):
    two = units.names(2)
    halves = allocation(("control", 5000), ("v1", 10000))
    group = {
        "id": "19228",
        "traffic_allocation": [
            {"experiment_id": "other", "end_of_range": 3000},
            {"experiment_id": "1886780721", "end_of_range": 8000},
            {"experiment_id": "", "end_of_range": 10000},
        ],
    }
    twice = {"id": "g2", "traffic_allocation": [{"experiment_id": "7", "end_of_range": 2000}, {"experiment_id": "x", "end_of_range": 4000}, {"experiment_id": "7", "end_of_range": 6000}]}
    return [
        {"name": "halves", "params": {"experiment_id": "1886780721", "traffic_allocation": halves}, "variants": two},
        {"name": "ends at a known bucket", "params": {"experiment_id": "1886780721", "traffic_allocation": allocation(("control", 5254), ("v1", 5255))}, "variants": two},
        {"name": "traffic held back", "params": {"experiment_id": "1886780722", "traffic_allocation": allocation(("control", 2500), (None, 5000), ("v1", 7500))}, "variants": two},
        {"name": "a variant at 0 %", "params": {"experiment_id": "12", "traffic_allocation": allocation(("control", 0), ("v1", 4000), ("v2", 4000), ("control", 10000))}, "variants": units.names(3)},
        {"name": "group", "params": {"experiment_id": "1886780721", "traffic_allocation": halves, "group": group}, "variants": two},
        {"name": "group that names it twice", "params": {"experiment_id": "7", "traffic_allocation": allocation(("v1", 9000)), "group": twice}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    names = units.names(count)
    ends = units.cumulative(units.whole_weights(rng, rng.randint(1000, 10_000), count))
    params = {"experiment_id": str(rng.randrange(10**11)), "traffic_allocation": allocation(*zip(names, ends))}
    if rng.random() < 0.5:
        ids, ends = ["a", params["experiment_id"], "b"], sorted(rng.randint(0, 10_000) for _ in range(3))
        slots = [{"experiment_id": i, "end_of_range": e} for i, e in zip(ids, ends)]
        params["group"] = {"id": str(rng.randrange(10**11)), "traffic_allocation": slots}
    return {"name": f"random {n}", "params": params, "variants": names}


def boundaries(params, _variants):
    slots = params["traffic_allocation"] + params.get("group", {}).get("traffic_allocation", [])
    return {slot["end_of_range"] for slot in slots} | {0, 10_000}


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    client = Optimizely(json.dumps(datafile(params, variants)), logger=logger.NoOpLogger())
    bucketer = client.decision_service.bucketer
    group = params.get("group")

    def pick(unit):
        variant = client.get_variation("experiment", unit)
        parent = params["experiment_id"]
        if group:
            bucket = bucketer._generate_bucket_value(unit + group["id"])
            chosen = next((s["experiment_id"] for s in group["traffic_allocation"] if bucket < s["end_of_range"]), "")
            parent = parent if chosen == parent else group["id"]
        return variants.index(variant) if variant else None, bucketer._generate_bucket_value(unit + parent)

    return lambda ids: [pick(unit) for unit in ids]


def datafile(params, variants):
    experiment = {
        "id": params["experiment_id"],
        "key": "experiment",
        "status": "Running",
        "layerId": "1",
        "audienceIds": [],
        "forcedVariations": {},
        "variations": [{"id": f"id-{name}", "key": name} for name in variants],
        "trafficAllocation": [
            {"entityId": f"id-{slot['variant']}" if slot["variant"] else "", "endOfRange": slot["end_of_range"]}
            for slot in params["traffic_allocation"]
        ],
    }
    group = params.get("group")
    groups = group and [
        {
            "id": group["id"],
            "policy": "random",
            "trafficAllocation": [{"entityId": s["experiment_id"], "endOfRange": s["end_of_range"]} for s in group["traffic_allocation"]],
            "experiments": [experiment],
        }
    ]
    return {
        "version": "4",
        "rollouts": [],
        "typedAudiences": [],
        "anonymizeIP": True,
        "projectId": "1",
        "accountId": "1",
        "revision": "1",
        "variables": [],
        "featureFlags": [],
        "attributes": [],
        "audiences": [],
        "events": [],
        "experiments": [] if group else [experiment],
        "groups": groups or [],
    }
