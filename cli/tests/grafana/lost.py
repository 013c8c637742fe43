"""Prints every place of the dashboards given that Grafana's own types do not know: what is read into
them and written again has lost it."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before, after, place):
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name in after:
                yield from lost(value, after[name], f"{place}/{name}")
            else:
                yield f"{place}/{name}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after)):
            yield from lost(*pair, f"{place}/{index}")
    elif before != after:
        yield place


register_default_plugins()
for file in sys.argv[1:]:
    with open(file) as text:
        board = json.load(text)
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    for place in lost(board, again, file):
        print(place)
