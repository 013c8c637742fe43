"""Runs a program; its seconds and its largest resident memory (KiB) go to a file: measure.py FILE PROGRAM…"""

import os
import sys
import time

out, *command = sys.argv[1:]
start = time.monotonic()
process = os.posix_spawnp(command[0], command, os.environ)
_, status, used = os.wait4(process, 0)
with open(out, "w") as file:
    file.write(f"{time.monotonic() - start} {used.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status))
