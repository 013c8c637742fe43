"""Makes the vectors of every dialect with the system's own SDK.

    generate.py --out DIR                     the committed vectors, the same on every run
    generate.py --out DIR --units N --seed S  N random ids per dialect, over fixed and random parameter sets

Node's packages are found through SPLITWAY_NODE_MODULES (a directory that holds node_modules).
"""

import argparse
import json
import logging
import random
import sys
from pathlib import Path

import units
from dialects import DIALECTS

RANDOM_SETS = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--units", type=int, help="random ids per dialect; without it the committed vectors")
    parser.add_argument("--seed", type=int, help="seed of the random ids")
    parser.add_argument("--only", nargs="*", default=list(DIALECTS), choices=list(DIALECTS))
    args = parser.parse_args()
    # The SDKs log every empty id and every request they cannot make.
    logging.disable(logging.CRITICAL)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        module = DIALECTS[name]
        if args.units is None:
            sets = committed(name, module)
        else:
            sets = fresh(name, module, args.units, random.Random(f"{args.seed}:{name}"))
        write(args.out / f"{name}.json", name, module.SOURCE, sets)
        print(f"{name}: {sum(len(s['units']) for s in sets)} units in {len(sets)} sets", file=sys.stderr)


def committed(name, module):
    """Every fixed set with the fixed ids and, found by search, ids on both sides of each boundary."""
    sets = module.fixed_sets(name)
    for one, pick in zip(sets, module.oracles(name, sets)):
        picked = list(zip(units.FIXED, pick(units.FIXED)))
        wanted = {b + d for b in module.boundaries(one["params"], one["variants"]) for d in (-1, 0, 1)}
        one["units"] = [row(unit, p) for unit, p in picked + at_boundaries(pick, wanted)]
    return sets


def at_boundaries(pick, wanted):
    """One id for each wanted bucket that occurs, and one more for each variant it occurs with."""
    found = {}
    for start in range(0, 40_000, 2_000):
        ids = [f"user-{n}" for n in range(start, start + 2_000)]
        for unit, (variant, bucket) in zip(ids, pick(ids)):
            if bucket in wanted:
                found.setdefault((bucket, variant), unit)
        if wanted <= {bucket for bucket, _ in found}:
            break
    ordered = sorted(found.items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1] or 0))
    return [(unit, (variant, bucket)) for (bucket, variant), unit in ordered]


def fresh(name, module, count, rng):
    """The fixed sets and random ones, with the random ids dealt out over them."""
    sets = module.fixed_sets(name) + [module.random_set(rng, n) for n in range(RANDOM_SETS)]
    ids = units.random_ids(rng, count)
    for n, (one, pick) in enumerate(zip(sets, module.oracles(name, sets))):
        mine = ids[n :: len(sets)]
        one["units"] = [row(unit, p) for unit, p in zip(mine, pick(mine))]
    return sets


def row(unit, picked):
    variant, bucket = picked
    return {"unit": unit, "variant": variant, "bucket": bucket}


def write(path, dialect, source, sets):
    """One unit a line, and ASCII only: an editor that normalises text would change the ids."""
    rest = json.dumps({"dialect": dialect, "source": source}, indent=2)[:-2]
    with path.open("w", encoding="ascii", newline="\n") as out:
        out.write(rest + ',\n  "sets": [\n')
        for n, one in enumerate(sets):
            head = {key: one[key] for key in ("name", "params", "variants")}
            out.write("    " + json.dumps(head)[:-1] + ', "units": [\n')
            out.write(",\n".join("      " + json.dumps(unit) for unit in one["units"]))
            out.write("\n    ]}" + (",\n" if n + 1 < len(sets) else "\n"))
        out.write("  ]\n}\n")


if __name__ == "__main__":
    main()
