"""Talks to worker.mjs."""

import json
import os
import subprocess
from pathlib import Path

_worker = None


def ask(**job):
    global _worker
    if _worker is None:
        command = ["node", str(Path(__file__).with_name("worker.mjs"))]
        # Outside production GrowthBook warns of every odd parameter, on every run.
        environment = {**os.environ, "NODE_ENV": "production"}
        _worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    _worker.stdin.write(json.dumps(job) + "\n")
    _worker.stdin.flush()
    return [tuple(pick) for pick in json.loads(_worker.stdout.readline())]
