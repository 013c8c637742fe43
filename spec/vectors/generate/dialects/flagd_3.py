"""flagd, revision 3: openfeature-flagd-core 2, which cannot be installed beside 1.

SPLITWAY_FLAGD_3 is a directory with it and cbor2 (`pip install --target`); a process of its own imports them from there.
"""

import json
import os
import subprocess
import sys

import units
from dialects import flagd

SOURCE = {
    "variant": "PyPI openfeature-flagd-core 2.0.0, FlagdCore.resolve_string_value()",
    "bucket": "mmh3 5.3.1 over cbor2 5.9.0's canonical bytes (the evaluator does not tell)",
}

WORKER = """
import json, logging, sys
import cbor2
from mmh3 import hash as mm3
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
logging.disable(logging.CRITICAL)
for line in sys.stdin:
    asked = json.loads(line)
    key, weights, variants = asked["flag_key"], asked["weights"], asked["variants"]
    core = FlagdCore()
    core.set_flags({"flags": {key: {"state": "ENABLED", "variants": {name: name for name in [*variants, "default"]},
        "defaultVariant": "default", "targeting": {"fractional": [list(pair) for pair in zip(variants, weights)]}}}})
    answers = []
    for unit in asked["units"]:
        value = core.resolve_string_value(key, "default", EvaluationContext(targeting_key=unit)).value
        bucket = mm3(cbor2.dumps([key, unit], canonical=True), 0, signed=False) * sum(weights) >> 32
        answers.append([variants.index(value), bucket] if value != "default" else [None, 0])
    print(json.dumps(answers), flush=True)
"""


def revised(one):
    return {**one, "params": {**one["params"], "revision": 3}}


def fixed_sets(name):
    long = "a-flag-with-a-key-of-more-than-23-bytes"
    more = {"name": "a long key", "params": {"flag_key": long, "weights": [50, 50]}, "variants": units.names(2)}
    return [revised(one) for one in [*flagd.fixed_sets(name), more]]


def random_set(rng, n):
    return revised(flagd.random_set(rng, n))


boundaries = flagd.boundaries


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    environment = {**os.environ, "PYTHONPATH": os.environ["SPLITWAY_FLAGD_3"]}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def pick(ids):
        asked = {"flag_key": params["flag_key"], "weights": params["weights"], "variants": variants, "units": list(ids)}
        worker.stdin.write(json.dumps(asked) + "\n")
        worker.stdin.flush()
        return [tuple(answer) for answer in json.loads(worker.stdout.readline())]

    return pick
