"""Talks to worker.mjs."""

import json
import subprocess
from pathlib import Path

_worker = None


def ask(**job):
    global _worker
    if _worker is None:
        command = ["node", str(Path(__file__).with_name("worker.mjs"))]
        _worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _worker.stdin.write(json.dumps(job) + "\n")
    _worker.stdin.flush()
    return [tuple(pick) for pick in json.loads(_worker.stdout.readline())]
