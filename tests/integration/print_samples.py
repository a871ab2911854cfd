"""Prints samples of the NVML source as JSON lines: `python -m tests.integration.print_samples [COUNT]`.

For tests that need a process of their own: another pid namespace, another driver library on the path.
"""

import sys

import msgspec

from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock


def main() -> None:
    clock = ManualClock()
    source = NvmlSource(clock=clock)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        print(msgspec.json.encode(source.sample(), enc_hook=tuple).decode())
        clock.advance(1)
    source.close()


if __name__ == "__main__":
    main()
