"""Gives damaged input to everything that reads bytes from elsewhere: ./run fuzz [TARGET ...]

Mutants of good input, some of them aware of its structure, are read by each target in a child with limits of memory and
time. Exit code 1 when one was neither taken nor refused; it is kept, and told with the seed that makes it again.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.engine import fuzz, replay
from tests.fuzz.target import names

INPUTS_WANTED = 10_000_000
"""Of all targets together, before a release."""
SECONDS = 400.0
"""Of each target: enough for `INPUTS_WANTED` on one core of 2026, slow targets (a chunk: 30 ms an input) and all."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__.split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"(default: all) {', '.join(names())}")
    parser.add_argument("--inputs", type=int, default=INPUTS_WANTED, help="of each target at most")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of CPU time, of each target at most (default: {SECONDS:g})"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed makes the same inputs")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give this one input to the target named")
    arguments = parser.parse_args()
    targets: list[str] = arguments.targets or names()
    if arguments.replay:
        return replay(targets[0], arguments.replay)
    folder = Path(tempfile.mkdtemp(prefix="blackbox-fuzz-"))
    print(f"seed {arguments.seed}, {arguments.seconds:g} s of CPU each, findings in {folder}")
    print(
        f"{'target':<18} {'inputs':>9} {'refused':>9} {'kept':>5} {'slowest ms':>10} {'grew MiB':>8} findings",
        flush=True,
    )
    failed, total = False, 0
    for name in targets:
        found = fuzz(name, arguments.inputs, arguments.seconds, arguments.seed, folder / name)
        total += found.inputs
        figures = f"{found.inputs:>9} {found.refused:>9} {found.corpus:>5} {found.cpu_seconds_max * 1e3:>10.1f}"
        print(f"{name:<18} {figures} {found.memory_bytes / 2**20:>8.1f} {len(found.findings)}", flush=True)
        for finding in found.findings:
            failed = True
            print(f"\n{name}, input {finding.number} of seed {arguments.seed}: {finding.error}\n  {finding.file}")
            print(finding.trace)
    print(f"{total:,} inputs in all; before a release {INPUTS_WANTED:,}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
