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

INPUTS = 10_000_000
"""Of all targets together, before a release: some hours."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run fuzz", description=__doc__.split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"(default: all) {', '.join(names())}")
    parser.add_argument("--inputs", type=int, default=INPUTS, help=f"of all targets together (default: {INPUTS})")
    parser.add_argument("--seconds", type=float, default=3600.0, help="of each target at most (default: 3600)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed makes the same inputs")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give this one input to the target named")
    arguments = parser.parse_args()
    targets: list[str] = arguments.targets or names()
    if arguments.replay:
        return replay(targets[0], arguments.replay)
    folder = Path(tempfile.mkdtemp(prefix="blackbox-fuzz-"))
    each = max(1, arguments.inputs // len(targets))
    print(f"seed {arguments.seed}, {each} inputs each, findings in {folder}")
    print(
        f"{'target':<18} {'inputs':>9} {'refused':>9} {'kept':>5} {'slowest ms':>10} {'grew MiB':>8} findings",
        flush=True,
    )
    failed = False
    for name in targets:
        found = fuzz(name, each, arguments.seconds, arguments.seed, folder / name)
        figures = f"{found.inputs:>9} {found.refused:>9} {found.corpus:>5} {found.cpu_seconds_max * 1e3:>10.1f}"
        print(f"{name:<18} {figures} {found.memory_bytes / 2**20:>8.1f} {len(found.findings)}", flush=True)
        for finding in found.findings:
            failed = True
            print(f"\n{name}, input {finding.number} of seed {arguments.seed}: {finding.error}\n  {finding.file}")
            print(finding.trace)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
