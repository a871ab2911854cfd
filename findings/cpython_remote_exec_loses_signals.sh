#!/bin/sh
# A script that CPython 3.14 is asked to run from outside (PEP 768) swallows the signal that wakes the program for it.
#
# Expected: `sys.remote_exec` leaves a sleeping program as it is until its main thread runs Python again, and a signal does
# then what it always does. What happens: where the main thread sleeps in a call, a signal ends the sleep,
# `PyErr_CheckSignals` runs the script first, and the handler of the signal runs within the script. What it raises is
# printed as an error of the script and lost: Ctrl-C does not end the program, nor does a SIGTERM whose handler raises. It
# needs no fault in the script: an empty one does it. With CPython 3.14.10.
#
# So: no request is left behind in a program that sleeps. A tool that takes one back has to empty the path where Python keeps
# it; another script in its place, such as /dev/null, still costs the next signal.
#
# Wants a Python 3.14 (PYTHON314 names it).

. "$(dirname "$0")/evidence.sh"

python314=${PYTHON314:-python3.14}
"$python314" --version
PYTHONPATH=$findings PYTHONDONTWRITEBYTECODE=1 "$python314" - <<'PYTHON'
import os
import signal
import subprocess
import sys
import time

from evidence import Evidence

PROGRAM = """
import time
print("asleep", flush=True)
try:
    time.sleep(5)
    print("slept on", flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
LONG_ENOUGH_SECONDS = 1.0


def interrupted(asked: bool) -> tuple[str, bool]:
    """What a program that sleeps says after one Ctrl-C, and whether an error of a script was printed."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    program.stdout.readline()
    time.sleep(LONG_ENOUGH_SECONDS)  # until it is in the call
    if asked:
        sys.remote_exec(program.pid, os.devnull)
    program.send_signal(signal.SIGINT)
    said, errors = program.communicate()
    return said.strip(), "Error executing debugger script" in errors


evidence = Evidence()
evidence.see("one Ctrl-C", interrupted(asked=False), ("interrupted", False))
evidence.see("the same with a request to run an empty script", interrupted(asked=True), ("slept on", True))
evidence.close()
PYTHON
