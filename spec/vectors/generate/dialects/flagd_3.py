"""flagd's third revision of the fractional rule: the same sets, asked of another release."""

import json
import os
import subprocess
import sys
from pathlib import Path

import units

from . import flagd

SOURCE = {
    "variant": "PyPI openfeature-flagd-core 2.0.0, FlagdCore.resolve_string_value()",
    "bucket": "independent Python on mmh3 5.3.1 and cbor2 5.9.0 (the evaluator does not tell)",
}

# A folder with the packages of requirements-flagd-3.txt.
PACKAGES = "SPLITWAY_FLAGD_3"


def fixed_sets(name):
    two = units.names(2)
    # Lengths at which the head of a text in CBOR grows.
    long = [
        {"name": f"a key of {n}", "params": {"flag_key": "k" * n, "weights": [50, 50]}, "variants": two}
        for n in (23, 24, 255, 256)
    ]
    return [third(one) for one in flagd.fixed_sets(name) + long]


def random_set(rng, n):
    return third(flagd.random_set(rng, n))


def third(one):
    return {**one, "params": {**one["params"], "revision": 3}}


boundaries = flagd.boundaries


def oracles(_name, sets):
    return [oracle(one["params"], one["variants"]) for one in sets]


def oracle(params, variants):
    def ask(ids):
        asked = json.dumps({"params": params, "variants": variants, "ids": ids})
        worker = Path(__file__).parent.parent / "flagd_3.py"
        environment = {**os.environ, "PYTHONPATH": os.environ[PACKAGES]}
        done = subprocess.run(
            [sys.executable, worker], input=asked, env=environment, capture_output=True, text=True, check=True
        )
        return [tuple(answer) for answer in json.loads(done.stdout)]

    return ask
