"""Eppo: the server SDK evaluates a universal flag config and tells the shards."""

import json

import eppo_client
from eppo_client import AssignmentLogger, ClientConfig, Configuration

import units

SOURCE = {
    "variant": "PyPI eppo-server-sdk 4.4.1, EppoClient.get_string_assignment_details()",
    "bucket": "the shardValue in its evaluation details",
}


def fixed_sets(_name):
    two, three = units.names(2), units.names(3)
    halves = [[[0, 5000]], [[5000, 10000]]]
    return [
        {"name": "halves", "params": {"salt": "my-exp", "total_shards": 10000, "ranges": halves}, "variants": two},
        {"name": "ends at a known shard", "params": {"salt": "s", "total_shards": 10000, "ranges": [[[0, 465]], [[465, 466]]]}, "variants": two},
        {"name": "gaps and several ranges", "params": {"salt": "s", "total_shards": 10000, "ranges": [[[0, 100], [9900, 10000]], [], [[4000, 6000]]]}, "variants": three},
        {"name": "the first of two owners", "params": {"salt": "s", "total_shards": 10000, "ranges": [[[0, 6000]], [[4000, 10000]]]}, "variants": two},
        {"name": "few shards", "params": {"salt": "few", "total_shards": 7, "ranges": [[[0, 3]], [[3, 7]]]}, "variants": two},
        {"name": "many shards", "params": {"salt": "many", "total_shards": 1000000, "ranges": [[[0, 333333]], [[333333, 1000000]]]}, "variants": two},
        {"name": "traffic shard", "params": {"salt": "flag-split", "total_shards": 10000, "ranges": halves, "traffic": {"salt": "flag-traffic", "ranges": [[0, 2500], [5000, 6000]]}}, "variants": two},
        {"name": "salt not ASCII", "params": {"salt": "\u65e5\u672c", "total_shards": 10000, "ranges": halves}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    total = rng.choice([100, 1000, 10_000, 12_345])
    ends = [0, *units.cumulative(units.whole_weights(rng, rng.randint(total // 2, total), count))]
    params = {"salt": units.salt(rng), "total_shards": total, "ranges": [[[a, b]] for a, b in zip(ends, ends[1:])]}
    if rng.random() < 0.4:
        params["traffic"] = {"salt": units.salt(rng), "ranges": [sorted((rng.randint(0, total), rng.randint(0, total)))]}
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, _variants):
    ranges = [r for variant in params["ranges"] for r in variant] + params.get("traffic", {}).get("ranges", [])
    return {edge for r in ranges for edge in r}


class Silent(AssignmentLogger):
    pass


def oracles(_name, sets):
    flags = {f"set-{n}": flag(f"set-{n}", one["params"], one["variants"]) for n, one in enumerate(sets)}
    config = {"createdAt": "2026-01-01T00:00:00.000Z", "format": "SERVER", "environment": {"name": "Test"}, "flags": flags}
    client = eppo_client.init(
        ClientConfig(
            api_key="offline",
            base_url="http://127.0.0.1:9",
            assignment_logger=Silent(),
            initial_configuration=Configuration(flags_configuration=json.dumps(config).encode()),
            poll_interval_seconds=None,
        )
    )
    return [oracle(client, f"set-{n}", one["variants"]) for n, one in enumerate(sets)]


def oracle(client, key, variants):
    def pick(unit):
        details = client.get_string_assignment_details(key, unit, {}, "none")
        splits = details.evaluation_details["allocations"][0]["evaluatedSplits"]
        variant = variants.index(details.variation) if details.variation in variants else None
        return variant, splits[-1]["shards"][-1]["shardValue"]

    return lambda ids: [pick(unit) for unit in ids]


def flag(key, params, variants):
    def shard(salt, ranges):
        return {"salt": salt, "ranges": [{"start": start, "end": end} for start, end in ranges]}

    traffic = params.get("traffic")
    front = [shard(traffic["salt"], traffic["ranges"])] if traffic else []
    splits = [
        {"variationKey": name, "shards": [*front, shard(params["salt"], ranges)]}
        for name, ranges in zip(variants, params["ranges"])
    ]
    return {
        "key": key,
        "enabled": True,
        "variationType": "STRING",
        "variations": {name: {"key": name, "value": name} for name in variants},
        "allocations": [{"key": "allocation", "rules": [], "splits": splits, "doLog": False}],
        "totalShards": params["total_shards"],
    }
