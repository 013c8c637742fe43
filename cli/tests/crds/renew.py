"""Writes configmap.json, deployment.json, podmonitor.json and prometheusrule.json into this folder.

python3 -m venv venv
venv/bin/pip install cloudcoil==0.6.0 cloudcoil-models-kubernetes==1.32.1.3 \\
    cloudcoil-models-prometheus-operator==0.80.1.0
venv/bin/python renew.py

The packages are pydantic models that are generated from the definitions. Texts and defaults are left
out, and so is the `null` that pydantic allows in place of every optional field: nothing here renders it.
"""

import json
import pathlib

from cloudcoil.models.kubernetes.apps import v1 as apps
from cloudcoil.models.kubernetes.core import v1 as core
from cloudcoil.models.prometheus_operator import v1 as monitoring


def bare(node):
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        name: bare(value)
        for name, value in node.items()
        # A property may have such a name, too; then its value is a schema.
        if isinstance(value, dict) or name not in ("description", "title", "default")
    }
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept |= choices[0]
    elif choices:
        kept["anyOf"] = choices
    # Of another dialect of regular expressions: flags in the middle.
    if kept.get("pattern") == "^(?i)(abort|warn)?$":
        kept["pattern"] = "^([aA][bB][oO][rR][tT]|[wW][aA][rR][nN])?$"
    return kept


for group, model in [
    ("", core.ConfigMap),
    ("apps", apps.Deployment),
    ("monitoring.coreos.com", monitoring.PodMonitor),
    ("monitoring.coreos.com", monitoring.PrometheusRule),
]:
    kind = model.__name__
    schema = bare(model.model_json_schema(by_alias=True))
    text = json.dumps({"group": group, "version": "v1", "kind": kind, "schema": schema}, indent=1)
    pathlib.Path(__file__).with_name(f"{kind.lower()}.json").write_text(text + "\n")
