"""The default dialect, written again from its formula."""

from mmh3 import hash as mm3

import units

SOURCE = {"variant": "independent Python on mmh3 5.3.1", "bucket": "the same"}


def fixed_sets(_name):
    halves = [[[0, 4999]], [[5000, 9999]]]
    return [
        {"name": "halves", "params": {"salt": "shop:experiment:checkout-button", "buckets": halves}, "variants": units.names(2)},
        {"name": "layer", "params": {"salt": "shop:layer:checkout", "buckets": [[[0, 499]], [[500, 9998]]]}, "variants": units.names(2)},
        {"name": "two ranges each", "params": {"salt": "s", "buckets": [[[0, 0], [9999, 9999]], [[1, 1], [5000, 6000]]]}, "variants": units.names(2)},
        {"name": "salt not ASCII", "params": {"salt": "\u65e5\u672c:\u00e9", "buckets": halves}, "variants": units.names(2)},
        {"name": "empty salt", "params": {"salt": "", "buckets": halves}, "variants": units.names(2)},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    ends = [0, *units.cumulative(units.whole_weights(rng, 10_000, count))]
    buckets = [[[a, b - 1]] if b > a else [] for a, b in zip(ends, ends[1:])]
    return {"name": f"random {n}", "params": {"salt": units.salt(rng), "buckets": buckets}, "variants": units.names(count)}


def boundaries(params, _variants):
    return {edge for ranges in params["buckets"] for first, last in ranges for edge in (first, last + 1)}


def oracles(_name, sets):
    def oracle(params):
        seed = mm3(params["salt"], 0, signed=False)

        def pick(unit):
            bucket = mm3(unit, seed, signed=False) * 10_000 // 2**32
            for index, ranges in enumerate(params["buckets"]):
                if any(first <= bucket <= last for first, last in ranges):
                    return index, bucket
            return None, bucket

        return lambda ids: [pick(unit) for unit in ids]

    return [oracle(one["params"]) for one in sets]
