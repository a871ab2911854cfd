"""One thread is stopped and let go; the program gets its signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.injection.detour.tracing import REGISTERS, StopError, critical_section, stopped
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="registers of x86-64")

COUNTS = """
import signal
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
print("begun", flush=True)
while len(got) < 1: pass
print(len(got), flush=True)
"""


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", COUNTS], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "begun\n"
        yield started
        started.kill()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_is_stopped_for_the_block_only(program: "subprocess.Popen[str]") -> None:
    with stopped(program.pid, lambda: None) as thread:
        assert state(program.pid) == "t"
        registers = thread.registers()
        assert tuple(registers) == REGISTERS
        assert registers["cs"] == 0x33
        thread.set_registers(registers)
    assert thread.stopped_seconds > 0
    until(lambda: state(program.pid) in "RS")


def test_a_signal_reaches_the_program(program: "subprocess.Popen[str]") -> None:
    with stopped(program.pid, lambda: None):
        program.send_signal(signal.SIGUSR1)
    assert program.communicate()[0] == "1\n"


def test_it_goes_on_where_the_block_fails(program: "subprocess.Popen[str]") -> None:
    with pytest.raises(KeyError), stopped(program.pid, lambda: None):
        raise KeyError
    until(lambda: state(program.pid) in "RS")


def test_it_goes_on_where_the_block_takes_too_long(
    program: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blackbox.injection.detour.tracing.STOP_SECONDS_MAX", 0.2)
    with pytest.raises(StopError, match="took longer than"), stopped(program.pid, lambda: None):
        signal.pause()
    until(lambda: state(program.pid) in "RS")


def test_it_is_not_stopped_where_it_is_another(program: "subprocess.Popen[str]") -> None:
    def check() -> None:
        assert state(program.pid) in "RS"
        raise ProcessLookupError

    with pytest.raises(ProcessLookupError), stopped(program.pid, check):
        pass
    assert state(program.pid) in "RS"


def test_one_that_is_stopped_stays_so(program: "subprocess.Popen[str]") -> None:
    program.send_signal(signal.SIGSTOP)
    until(lambda: state(program.pid) == "T")
    with pytest.raises(StopError, match="it is stopped"), stopped(program.pid, lambda: None):
        pass
    until(lambda: state(program.pid) == "T")


def test_one_that_is_gone() -> None:
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    with pytest.raises(ProcessLookupError), stopped(gone.pid, lambda: None):
        pass


def test_memory_that_cannot_be_read_has_no_critical_section() -> None:
    memory = os.open("/proc/self/mem", os.O_RDONLY)
    assert critical_section(memory, 8) == range(0)
    assert critical_section(memory, 0) == range(0)
    os.close(memory)
