"""LaunchDarkly: the server SDK evaluates a flag from a data file."""

import json
import math
import tempfile
from pathlib import Path

from ldclient import Context, LDClient
from ldclient.config import Config
from ldclient.impl.evaluator_common import _bucket_context
from ldclient.integrations import Files

import units

SOURCE = {
    "variant": "PyPI launchdarkly-server-sdk 9.18.2, LDClient.variation_detail()",
    "bucket": "floor(10000 n) of its _bucket_context()",
}


def fixed_sets(_name):
    two = units.names(2)
    return [
        {"name": "halves", "params": {"flag_key": "my-exp", "salt": "salt", "weights": [50000, 50000]}, "variants": two},
        {"name": "ends at a known bucket", "params": {"flag_key": "my-exp", "salt": "salt", "weights": [71398, 28602]}, "variants": two},
        {"name": "ends behind it", "params": {"flag_key": "my-exp", "salt": "salt", "weights": [71399, 28601]}, "variants": two},
        {"name": "the last takes the rest", "params": {"flag_key": "f", "salt": "s", "weights": [10000, 20000, 0]}, "variants": units.names(3)},
        {"name": "sums that round", "params": {"flag_key": "f", "salt": "s", "weights": [10000, 20000, 30000, 40000]}, "variants": units.names(4)},
        {"name": "seed", "params": {"flag_key": "f", "salt": "s", "seed": 61, "weights": [33333, 33333, 33334]}, "variants": units.names(3)},
        {"name": "negative seed", "params": {"flag_key": "f", "salt": "s", "seed": -2147483648, "weights": [1, 99999]}, "variants": two},
        {"name": "seed 0", "params": {"flag_key": "f", "salt": "s", "seed": 0, "weights": [0, 100000]}, "variants": two},
        {"name": "salt not ASCII", "params": {"flag_key": "my-exp", "salt": "\u65e5\u672c", "weights": [60000, 40000]}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    params = {"flag_key": f"flag-{n}", "salt": units.salt(rng), "weights": units.whole_weights(rng, 100_000, count)}
    if rng.random() < 0.3:
        params["seed"] = rng.randint(-(2**31), 2**31 - 1)
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, _variants):
    return {end // 10 for end in units.cumulative(params["weights"])}


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    key, salt, seed = params["flag_key"], params["salt"], params.get("seed")
    client = offline_client(key, salt, seed, params["weights"], variants)

    def pick(unit):
        context = Context.create(unit)
        detail = client.variation_detail(key, context, None)
        if not context.valid:
            return detail.variation_index, 0
        return detail.variation_index, min(math.floor(10_000 * _bucket_context(seed, context, None, key, salt, None)), 9_999)

    return lambda ids: [pick(unit) for unit in ids]


def offline_client(key, salt, seed, weights, variants):
    rollout = {"kind": "experiment", "variations": [{"variation": n, "weight": w} for n, w in enumerate(weights)]}
    if seed is not None:
        rollout["seed"] = seed
    flag = {"key": key, "version": 1, "on": True, "salt": salt, "variations": variants, "fallthrough": {"rollout": rollout}}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "flags.json")
        path.write_text(json.dumps({"flags": {key: flag}}))
        source = Files.new_data_source(paths=[str(path)])
        return LDClient(Config("sdk-key", update_processor_class=source, send_events=False, diagnostic_opt_out=True), 5)
