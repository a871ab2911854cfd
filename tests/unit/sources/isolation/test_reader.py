"""The limits of a command that reads a file itself. Each runs in a process of its own: they hold for all of it."""

import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_SECONDS

PROGRAM = """
import resource
from pathlib import Path
from blackbox.errors import FailureError
from blackbox.sources.isolation.reader import within_limits

before = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
try:
    with within_limits(Path("x.bbdump"), 1 << 30, 0):
        WORK
except FailureError as error:
    print(error)
assert before == (resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU))
"""


@pytest.mark.parametrize(
    ("work", "told"),
    [
        ("bytearray(2 << 30)", "x.bbdump: reading it would take too much memory"),
        ("all(True for _ in iter(int, 1))", "x.bbdump: reading it took more than 0 s of CPU time"),
        ("print('read')", "read"),
    ],
)
def test_what_takes_more_ends_in_one_line_and_the_limits_of_before_hold_again(work: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("WORK", work)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert done.stdout.strip() == told
