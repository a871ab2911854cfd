"""Row 5 at its worst: a process that SIGKILL does not end, because a driver call sleeps in the kernel."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.sources.isolation.supervisor import SupervisedSource
from tests.integration.scripted_source import Script
from tests.integration.supervision import (
    FACTORIES,
    ROOT,
    alive,
    fault_of,
    sample_again,
    states,
)
from tests.waiting import PATIENCE_SECONDS, until

HOLD = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, TRACE_EXIT = 0x4206, 0x40
if libc.ptrace(SEIZE, int(sys.argv[1]), 0, TRACE_EXIT) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SCRIPT", str(tmp_path / "script"))
    return Script(tmp_path / "script")


@pytest.fixture
def source(script: Script) -> Iterator[SupervisedSource]:
    with contextlib.closing(SupervisedSource("scripted", f"{FACTORIES}:Scripted")) as supervised:
        yield supervised


@contextlib.contextmanager
def held_by_the_kernel(pid: int) -> Iterator[None]:
    """While it lasts, SIGKILL does not make the process go away, as when a driver call sleeps in the kernel."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with holder:
        assert holder.stdout
        if holder.stdout.readline() != b"held\n":
            _, error = holder.communicate(timeout=PATIENCE_SECONDS)
            pytest.skip(f"this machine does not let us hold a process: {error.decode().strip()}")
        yield
        holder.kill()


@pytest.mark.fault(5)
def test_row_05_a_process_that_cannot_be_killed_is_not_replaced_until_it_is_gone(
    source: SupervisedSource, script: Script
) -> None:
    source.sample()
    stuck = source.pid
    assert stuck
    with held_by_the_kernel(stuck):
        os.kill(stuck, signal.SIGSTOP)
        fault_of(source)
        for _ in range(3):
            fault = fault_of(source)
            assert fault.state == "stale"
            assert fault.reason.startswith(f"killed process {stuck} is stuck in the kernel")
        assert source.pid is None
        assert source.restarts_total == 0
    assert sample_again(source).state == "ok"
    assert not alive(stuck)


@pytest.mark.fault(5)
def test_row_05_beside_a_process_stuck_in_one_call_the_others_go_on(source: SupervisedSource, script: Script) -> None:
    source.sample()
    stuck = source.pid
    assert stuck
    with held_by_the_kernel(stuck):
        script.write("hang read 3")
        fault_of(source)
        sample = source.sample()
        assert states(sample) == ["ok", "ok", "ok", "stale"]
        second = source.pid
        assert second
        with held_by_the_kernel(second):
            os.kill(second, signal.SIGKILL)
            until(lambda: "stuck in the kernel" in fault_of(source).reason)
            assert source.pid is None
    until(lambda: not alive(stuck) and not alive(second))
    assert sample_again(source).devices
