"""GrowthBook: the JavaScript SDK runs the experiments (see worker.mjs)."""

import units
from node import ask

SOURCE = {"variant": "npm @growthbook/growthbook 1.8.0, GrowthBook.run()", "bucket": "its hash()"}


def fixed_sets(_name):
    two, three = units.names(2), units.names(3)
    filters = [
        {"seed": "f1", "hash_version": 2, "ranges": [[0, 0.5], [0.7, 0.9]]},
        {"seed": "f2", "hash_version": 1, "ranges": [[0.1, 1]]},
        {"seed": "f3", "ranges": [[0, 0.95]]},
    ]
    return [
        {"name": "defaults", "params": {"seed": "my-exp"}, "variants": two},
        {"name": "weights and coverage", "params": {"seed": "my-exp", "coverage": 0.4, "weights": [0.1, 0.2, 0.7]}, "variants": three},
        {"name": "thirds", "params": {"seed": "thirds"}, "variants": three},
        {"name": "weights of another count", "params": {"seed": "s", "weights": [0.2, 0.8]}, "variants": three},
        {"name": "weights that do not sum to 1", "params": {"seed": "s", "weights": [0.5, 0.1]}, "variants": two},
        {"name": "weights just below 1", "params": {"seed": "s", "weights": [0.9, 0.095]}, "variants": two},
        {"name": "coverage above 1", "params": {"seed": "s", "coverage": 1.5, "weights": [0.3, 0.7]}, "variants": two},
        {"name": "no coverage", "params": {"seed": "s", "coverage": 0}, "variants": two},
        {"name": "ranges", "params": {"seed": "ranges", "ranges": [[0, 0.353], [0.62, 0.9]]}, "variants": two},
        {"name": "namespace", "params": {"seed": "my-exp", "namespace": ["ns", 0.2, 0.6]}, "variants": two},
        {"name": "filters", "params": {"seed": "my-exp", "filters": filters}, "variants": two},
        {"name": "filters replace the namespace", "params": {"seed": "my-exp", "filters": filters[:1], "namespace": ["ns", 0, 0]}, "variants": two},
        {"name": "seed not ASCII", "params": {"seed": "\u65e5\u672c-\U0001f600"}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    params = {"seed": units.salt(rng)}
    if rng.random() < 0.8:
        params["weights"] = [w / 1000 for w in units.whole_weights(rng, 1000, count)]
    if rng.random() < 0.5:
        params["coverage"] = rng.random()
    if rng.random() < 0.3:
        params["namespace"] = [units.salt(rng), *sorted((rng.random(), rng.random()))]
    if rng.random() < 0.3:
        start, end = sorted((rng.random(), rng.random()))
        params["filters"] = [{"seed": units.salt(rng), "hash_version": rng.randint(1, 2), "ranges": [[start, end]]}]
    return {"name": f"random {n}", "params": params, "variants": units.names(count)}


def boundaries(params, variants):
    """In steps of both 1,000 and 10,000: which one applies depends on the hash."""
    cuts = [edge for r in params.get("ranges", []) for edge in r]
    weights = params.get("weights") or [1 / len(variants)] * len(variants)
    start = 0
    for weight in weights:
        cuts += [start, start + min(params.get("coverage", 1), 1) * weight]
        start += weight
    cuts += params.get("namespace", [])[1:]
    cuts += [edge for f in params.get("filters", []) for r in f["ranges"] for edge in r]
    return {round(cut * steps) for cut in cuts for steps in (1_000, 10_000) if cut < 1}


def oracles(name, sets):
    version = int(name[-1])

    def oracle(one):
        return lambda ids: ask(system="growthbook", version=version, params=one["params"], variants=one["variants"], units=ids)

    return [oracle(one) for one in sets]
