#!/bin/sh
# A counter that a program has registered is not on its page before the first event.
#
# Expected: a registered counter stands on the page, at 0. What happens: one without labels does; one with labels has no
# line until its first event, only its HELP and TYPE; and where several processes share a page (`PROMETHEUS_MULTIPROC_DIR`,
# as SGLang has it) not even those. A reader of the page cannot tell "0 so far" from "this version has no such counter".
# With prometheus_client 0.26.
#
# So: a missing counter is 0 where something else on the page shows that the version has it, and unknown otherwise.

. "$(dirname "$0")/evidence.sh"

install prometheus_client==0.26.0
evidence <<'PYTHON'
import os
import subprocess
import sys
import tempfile

from evidence import Evidence


PAGE = """
import os
from prometheus_client import CollectorRegistry, Counter, REGISTRY, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
plain = Counter("plain_total", "Without labels.")
labelled = Counter("labelled_total", "With labels.", ["engine"])
if EVENT:
    labelled.labels(engine="0").inc()
registry = REGISTRY
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
lines = generate_latest(registry).decode().splitlines()
print(sum("labelled" in line and line[0] == "#" for line in lines), sum(line[:8] == "labelled" and "created" not in line
    for line in lines), sum(line[:6] == "plain_" and "created" not in line for line in lines))
"""


def seen(event: bool, shared: bool) -> str:
    """Comment lines of the counter with labels, lines with its value, lines of the one without labels."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, **({"PROMETHEUS_MULTIPROC_DIR": folder} if shared else {})}
        command = [sys.executable, "-c", f"EVENT = {event}\n{PAGE}"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return done.stdout.strip()


evidence = Evidence()
evidence.see("one process, before: HELP and TYPE, values, values without labels", seen(False, False), "2 0 1")
evidence.see("one process, after the first event", seen(True, False), "4 1 1")
evidence.see("a shared page, before", seen(False, True), "0 0 1")
evidence.see("a shared page, after the first event", seen(True, True), "2 1 1")
evidence.close()
PYTHON
