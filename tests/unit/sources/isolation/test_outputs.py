"""What a child writes is taken up to a bound, however much it writes and to whom."""

import subprocess
import sys

import pytest

from blackbox.sources.isolation import outputs
from blackbox.sources.isolation.outputs import SAID_BYTES_MAX, Outputs, TooMuchWrittenError, outputs_of
from tests.waiting import PATIENCE_SECONDS

ENDLESS = "import sys\nwhile True: sys.{}.write('x' * 4096)"
ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); sys.stderr.write('done')"


def started(program: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_what_it_is_given_and_what_it_writes_pass_through_whole_whatever_their_size(size: int) -> None:
    given = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with started(ECHO) as child:
        assert outputs_of(child, size, PATIENCE_SECONDS, given) == Outputs(given, b"done")
    assert child.returncode == 0


def test_one_that_writes_more_than_it_may_is_killed() -> None:
    with started(ENDLESS.format("stdout")) as child, pytest.raises(TooMuchWrittenError):
        outputs_of(child, 100_000, PATIENCE_SECONDS)
    assert child.returncode < 0


def test_of_what_it_says_the_end_is_kept() -> None:
    program = "import sys; sys.stderr.write('chatter ' * 100_000 + 'the reason')"
    with started(program) as child:
        _, said = outputs_of(child, 0, PATIENCE_SECONDS)
    assert len(said) == SAID_BYTES_MAX
    assert said.endswith(b"the reason")


def test_one_that_reads_nothing_of_what_it_is_given_ends_as_it_likes() -> None:
    with started("print('enough')") as child:
        assert outputs_of(child, 100, PATIENCE_SECONDS, bytes(10_000_000)).written == b"enough\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_one_that_never_ends_is_killed_when_its_time_is_over_also_while_it_writes(stream: str) -> None:
    with started(ENDLESS.format(stream)) as child, pytest.raises(subprocess.TimeoutExpired):
        outputs_of(child, 1 << 50, 0.0)
    assert child.returncode < 0


def test_it_is_looked_after_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "EVERY_SECONDS", 0.001)
    looks = 0

    def tick() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    with started("import time; time.sleep(3600)") as child, pytest.raises(KeyboardInterrupt):
        outputs_of(child, 0, PATIENCE_SECONDS, tick=tick)
    assert child.returncode < 0
