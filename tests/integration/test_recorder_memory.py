"""Hours and dumps leave nothing in the memory of a server, for a helper does both."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
MOMENT_BYTES_MAX = 2 * MIB
"""Of a moment with what is due; within the server an hour takes 12 MB."""
DUMP_BYTES_MAX = MIB // 4
"""Of having a dump made; within the server it takes 0.7 MB here, and tens of MB where programs report blocks."""
DUMPS_GROWTH_MAX = MIB
"""Of resident memory from the second dump on. Of hours it tells nothing: what is recorded between two moves it more."""


def in_the_process(who: str) -> dict[str, list[tuple[int, int]]]:
    command = [sys.executable, "-m", "tests.server_memory", who]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_hours_and_dumps_in_a_row_do_not_raise_the_memory_of_the_server() -> None:
    found = in_the_process("apart")
    for name, most in ("hours", MOMENT_BYTES_MAX), ("dumps", DUMP_BYTES_MAX):
        assert len(found[name]) >= 3
        assert all(peak <= most for peak, _ in found[name]), found
    resident = [bytes_after for _, bytes_after in found["dumps"]]
    assert resident[-1] - resident[1] <= DUMPS_GROWTH_MAX, found
