"""Answers for dialects/flagd_3.py, under the packages of requirements-flagd-3.txt.

Reads {"params", "variants", "ids"} from stdin and writes [variant index or null, bucket] for each id.
"""

import json
import logging
import sys

import cbor2
from mmh3 import hash as mm3
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

OUT = "default"


def main():
    logging.disable(logging.CRITICAL)
    asked = json.load(sys.stdin)
    key, weights = asked["params"]["flag_key"], asked["params"]["weights"]
    variants = asked["variants"]
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
        bucket = mm3(cbor2.dumps([key, unit], canonical=True), 0, signed=False) * sum(weights) >> 32
        return (variants.index(value), bucket) if value != OUT else (None, 0)

    json.dump([pick(unit) for unit in asked["ids"]], sys.stdout)


if __name__ == "__main__":
    main()
