"""Statsig: the server SDK evaluates a bootstrapped config spec, without a network."""

import json

from statsig import StatsigOptions, StatsigServer, StatsigUser
from statsig.statsig_errors import StatsigValueError
from statsig.utils import sha256_hash

import units

SOURCE = {"variant": "PyPI statsig 0.72.1, StatsigServer.get_experiment()", "bucket": "its sha256_hash()"}


def groups(*entries):
    return [{"variant": variant, "end": end} for variant, end in entries]


def fixed_sets(_name):
    two = units.names(2)
    halves = groups(("control", 500), ("v1", 1000))
    known = {"config_salt": "cfgsalt", "rule_salt": "rulesalt"}
    return [
        {"name": "halves", "params": {**known, "pass_percentage": 100, "groups": halves}, "variants": two},
        {"name": "passes at a known bucket", "params": {**known, "pass_percentage": 53.35, "groups": halves}, "variants": two},
        {"name": "passes below it", "params": {**known, "pass_percentage": 53.34, "groups": halves}, "variants": two},
        {"name": "nobody passes", "params": {**known, "pass_percentage": 0, "groups": halves}, "variants": two},
        {"name": "a product that rounds up", "params": {**known, "pass_percentage": 0.07, "groups": halves}, "variants": two},
        {"name": "a product that rounds down", "params": {**known, "pass_percentage": 1.15, "groups": halves}, "variants": two},
        {"name": "groups that leave a rest", "params": {"config_salt": "c", "rule_salt": "r", "pass_percentage": 50, "groups": groups(("control", 0), ("v1", 333), ("v2", 900))}, "variants": units.names(3)},
        {"name": "a group for nobody", "params": {"config_salt": "c", "rule_salt": "r", "pass_percentage": 100, "groups": groups((None, 100), ("v1", 300))}, "variants": two},
        {"name": "a salt for the groups", "params": {"config_salt": "c", "rule_salt": "r", "group_salt": "\u65e5\u672c", "pass_percentage": 80, "groups": halves}, "variants": two},
    ]


def random_set(rng, n):
    count = rng.randint(2, 5)
    names = units.names(count)
    ends = units.cumulative(units.whole_weights(rng, rng.randint(500, 1000), count))
    params = {"config_salt": units.salt(rng), "rule_salt": units.salt(rng), "pass_percentage": rng.randint(0, 10_000) / 100, "groups": groups(*zip(names, ends))}
    return {"name": f"random {n}", "params": params, "variants": names}


def boundaries(params, _variants):
    return {round(params["pass_percentage"] * 100), *(group["end"] for group in params["groups"])}


def oracles(_name, sets):
    spec = {
        "has_updates": True,
        "time": 1,
        "feature_gates": [],
        "layer_configs": [],
        "dynamic_configs": [config(f"set-{n}", one["params"], one["variants"]) for n, one in enumerate(sets)],
    }
    nowhere = "http://127.0.0.1:9/"
    options = StatsigOptions(
        api=nowhere,
        bootstrap_values=json.dumps(spec),
        disable_diagnostics=True,
        disable_all_logging=True,
        rulesets_sync_interval=10**6,
        idlists_sync_interval=10**6,
    )
    server = StatsigServer()
    server.initialize("secret-offline", options)
    return [oracle(server, f"set-{n}", one["params"]) for n, one in enumerate(sets)]


def oracle(server, name, params):
    salts = f"{params['config_salt']}.{params['rule_salt']}"
    percentage = params["pass_percentage"]

    def pick(unit):
        try:
            user = StatsigUser(unit)
        except StatsigValueError:
            return None, 0
        variant = server.get_experiment(user, name, log_exposure=False).get("variant", None)
        bucket = sha256_hash(f"{params.get('group_salt', params['config_salt'])}.{unit}") % 1000
        if variant is None and percentage < 100:
            passed = sha256_hash(f"{salts}.{unit}") % 10_000
            bucket = 0 if percentage == 0 else passed if passed >= percentage * 100 else bucket
        return variant, bucket

    return lambda ids: [pick(unit) for unit in ids]


def config(name, params, variants):
    """Each group is a rule of its own with the same salt and percentage, as the console writes them."""
    salt = params.get("group_salt", params["config_salt"])

    def rule(group):
        condition = {"type": "user_bucket", "operator": "lt", "targetValue": group["end"], "field": None, "additionalValues": {"salt": salt}, "idType": "userID"}
        value = {} if group["variant"] is None else {"variant": variants.index(group["variant"])}
        return {
            "name": f"{name}-{group['end']}",
            "id": f"{name}-{group['end']}",
            "salt": params["rule_salt"],
            "passPercentage": params["pass_percentage"],
            "conditions": [condition],
            "returnValue": value,
            "idType": "userID",
        }

    return {
        "name": name,
        "type": "dynamic_config",
        "salt": params["config_salt"],
        "enabled": True,
        "entity": "experiment",
        "idType": "userID",
        "defaultValue": {},
        "rules": [rule(group) for group in params["groups"]],
    }
