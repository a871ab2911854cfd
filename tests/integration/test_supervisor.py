"""A source in a process of its own, with real processes that hang, crash and talk nonsense."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.sources.isolation import supervisor
from blackbox.sources.isolation.supervisor import SourceFault, SupervisedSource
from tests.integration.scripted_source import Script
from tests.integration.supervision import (
    FACTORIES,
    ROOT,
    alive,
    descriptors,
    fault_of,
    sample_again,
    states,
)
from tests.waiting import PATIENCE_SECONDS, until


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SCRIPT", str(tmp_path / "script"))
    return Script(tmp_path / "script")


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine a new process takes long, and so does the end of one."""
    monkeypatch.setattr(supervisor, "RETRY_SECONDS_MAX", PATIENCE_SECONDS)
    monkeypatch.setattr("blackbox.sources.isolation.process.REAP_SECONDS_MAX", PATIENCE_SECONDS)


@pytest.fixture
def source(script: Script) -> Iterator[SupervisedSource]:
    with contextlib.closing(SupervisedSource("scripted", f"{FACTORIES}:Scripted")) as supervised:
        yield supervised


def test_samples_come_from_one_other_process(source: SupervisedSource) -> None:
    assert source.sample().state == "ok"
    pid = source.pid
    assert states(source.sample()) == ["ok"] * 4
    assert source.pid == pid != os.getpid()
    assert source.restarts_total == 0


def test_a_source_without_breadcrumbs_is_hosted_too(script: Script) -> None:
    with contextlib.closing(SupervisedSource("plain", f"{FACTORIES}:Plain")) as source:
        assert source.sample().source == "plain"
        assert source.current_call is None


def test_close_lets_the_source_close_its_handles(source: SupervisedSource, script: Script) -> None:
    source.sample()
    pid = source.pid
    source.close()
    assert script.path.with_name("closed").read_text() == str(pid)
    assert source.pid is None
    assert source.sample().state == "ok"


def test_no_descriptor_is_left_behind(source: SupervisedSource, script: Script) -> None:
    source.sample()
    before = descriptors()
    for _ in range(3):
        source.close()
        source.sample()
    assert descriptors() == before


def test_a_source_that_cannot_be_made_says_why(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RETRY_SECONDS_MAX", 0.0)  # it never can
    with contextlib.closing(SupervisedSource("broken", f"{FACTORIES}:Broken")) as source:
        fault = fault_of(source)
    assert fault.state == "failed"
    assert fault.reason == "the source's process exited with code 1: RuntimeError: no such machine"


def test_an_exception_in_the_source_is_a_failed_sample(source: SupervisedSource, script: Script) -> None:
    script.write("raise read 2")
    sample = source.sample()
    assert (sample.state, sample.reason) == ("failed", "fault in the source: RuntimeError: a bug")
    script.write()
    assert source.sample().state == "ok"
    assert source.restarts_total == 0


def test_a_sample_too_large_for_a_frame_is_a_failed_sample(source: SupervisedSource, script: Script) -> None:
    script.write("huge sample -1")
    sample = source.sample()
    assert sample.state == "failed"
    assert "exceeds 8388608" in (sample.reason or "")
    script.write()
    assert source.sample().state == "ok"
    assert source.restarts_total == 0


def test_events_cross_the_socket(source: SupervisedSource, script: Script) -> None:
    script.write("event sample -1")
    assert [event.code for event in source.sample().events] == [79]


def test_processes_that_stay_the_same_are_shared_between_samples(source: SupervisedSource, script: Script) -> None:
    first, second = source.sample().processes, source.sample().processes
    assert [process.pid for process in first] == [100, 101]
    assert second is first
    script.write("grow sample -1")
    assert [process.pid for process in source.sample().processes] == [100, 101, 102]
    script.write("raise read 0")
    assert source.sample().processes == ()
    script.write()
    assert source.sample().processes == first
    source.close()
    assert source.sample().processes == first


@pytest.mark.fault(6)
def test_row_06_a_crash_is_answered_by_a_new_process_in_the_same_sample(
    source: SupervisedSource, script: Script
) -> None:
    source.sample()
    script.write("crash read 3")
    sample = source.sample()
    assert states(sample) == ["ok", "ok", "ok", "stale"]
    assert sample.state == "degraded"
    assert sample.reason == "the source's process was killed by SIGSEGV in read on GPU 3"
    assert source.restarts_total == 1


@pytest.mark.fault(6)
def test_row_06_a_call_that_crashed_is_tried_again_later(
    script: Script, source: SupervisedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blackbox.sources.isolation.quarantine.WAIT_SECONDS_MIN", 1.0)
    script.write("crash read 3")
    until(lambda: source.sample().state == "degraded")
    script.write()
    until(lambda: source.sample().state == "ok")
    assert states(source.sample()) == ["ok"] * 4


@pytest.mark.fault(6)
def test_row_06_crashes_of_every_device_leave_an_answer(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blackbox.sources.isolation.quarantine.WAIT_SECONDS_MIN", PATIENCE_SECONDS)
    script.write(*(f"crash read {device}" for device in range(4)))
    sample = sample_again(source)
    assert states(sample) == ["stale"] * 4
    assert "and 1 more" in (sample.reason or "")


@pytest.mark.fault(6)
@pytest.mark.parametrize("crashes", [25, pytest.param(300, marks=pytest.mark.slow)])
def test_row_06_survives_crashes_in_a_row(script: Script, crashes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RETRY_SECONDS_MAX", 1.0)  # which no sample of this one succeeds in
    script.write("crash open -1")
    source = SupervisedSource("scripted", f"{FACTORIES}:Scripted", starts_burst=2 * crashes + 50)
    with contextlib.closing(source):
        before = descriptors()
        while source.restarts_total < crashes:
            assert fault_of(source).reason == "the source's process was killed by SIGSEGV in open"
        assert descriptors() == before
        script.write()
        assert source.sample().state == "ok"


def test_starts_are_rationed_and_the_last_reason_is_kept(script: Script) -> None:
    script.write("exit open -1")
    source = SupervisedSource("scripted", f"{FACTORIES}:Scripted", starts_burst=3, starts_seconds=3600)
    with contextlib.closing(source):
        for _ in range(5):
            assert fault_of(source).reason == "the source's process exited with code 3: the last words in open"
        assert source.restarts_total == 2


@pytest.mark.fault(5)
def test_row_05_one_hanging_call_leaves_the_other_devices_fresh(source: SupervisedSource, script: Script) -> None:
    source.sample()
    script.write("hang read 3")
    fault = fault_of(source)
    assert (fault.state, fault.reason) == ("stale", "read on GPU 3 did not return within 1.0 s")
    sample = source.sample()
    assert states(sample) == ["ok", "ok", "ok", "stale"]
    assert (sample.state, sample.reason) == ("degraded", "read on GPU 3 did not return within 1.0 s")


@pytest.mark.fault(5)
def test_row_05_a_hanging_call_is_tried_again_with_less_patience(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blackbox.sources.isolation.quarantine.WAIT_SECONDS_MIN", 0.3)
    script.write("hang read 3")
    fault_of(source)
    reasons: list[str] = []

    def tried_again() -> bool:
        try:
            source.sample()
        except SourceFault as fault:
            reasons.append(fault.reason)
        return bool(reasons)

    until(tried_again)
    assert reasons == ["read on GPU 3 did not return within 0.25 s"]
    script.write()
    until(lambda: source.sample().state == "ok")


@pytest.mark.fault(5)
def test_row_05_a_stopped_process_is_replaced(source: SupervisedSource) -> None:
    source.sample()
    stopped = source.pid
    assert stopped
    os.kill(stopped, signal.SIGSTOP)
    fault = fault_of(source)
    assert (fault.state, fault.reason) == ("stale", "the source's process did not answer within 1.0 s")
    assert source.sample().state == "ok"
    assert not alive(stopped)


@pytest.mark.fault(5)
def test_row_05_opening_a_sleepy_driver_may_take_longer(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "CALL_SECONDS_MAX", 0.1)
    script.write("slow open -1")
    assert source.sample().state == "ok"


@pytest.mark.fault(5)
def test_row_05_opening_that_hangs_is_given_up(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SLOW_SECONDS_MAX", 0.3)
    script.write("hang open -1")
    assert fault_of(source).reason == "open did not return within 0.3 s"
    script.write()
    assert sample_again(source).state == "ok"


@pytest.mark.fault(5)
def test_row_05_a_slow_call_that_hangs_is_left_out_like_any_other(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "CALL_SECONDS_MAX", 0.2)
    monkeypatch.setattr(supervisor, "SLOW_SECONDS_MAX", 1.5)
    script.write("slow settle 1")
    assert source.sample().state == "ok"
    script.write("hang settle 1")
    assert fault_of(source).reason == "settle on GPU 1 did not return within 1.5 s"
    assert states(source.sample()) == ["ok", "stale", "ok", "ok"]


@pytest.mark.fault(5)
def test_row_05_many_slow_calls_are_not_a_hang(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "CALL_SECONDS_MAX", 0.9)
    script.write(*(f"slow read {device}" for device in range(4)))
    assert source.sample().state == "ok"
    assert source.restarts_total == 0


@pytest.mark.fault(5)
def test_row_05_a_sample_that_never_ends_is_given_up(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.sample()
    monkeypatch.setattr(supervisor, "SAMPLE_SECONDS_MAX", 0.5)
    script.write(*(f"slow read {device}" for device in range(4)))
    assert fault_of(source).reason == "the sample was not complete within 0.5 s"


def test_cancelling_ends_a_sample_at_once(script: Script) -> None:
    cancelled = threading.Event()
    source = SupervisedSource("scripted", f"{FACTORIES}:Scripted", cancelled=cancelled)
    with contextlib.closing(source):
        source.sample()
        script.write("hang read 0")
        threading.Timer(0.2, cancelled.set).start()
        assert fault_of(source).state == "released"
        assert source.pid is None


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("garbage", "sent nonsense: not a Blackbox frame"),
        ("oversize", "sent nonsense: payload of 8388609 bytes exceeds 8388608"),
        ("undecodable", "sent nonsense: MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"),
        ("foreign", "sent nonsense: a frame of kind 1 instead of a sample"),
        ("mute", "closed its socket"),
    ],
)
def test_nonsense_on_the_socket_ends_the_process(
    source: SupervisedSource,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    reason: str,
) -> None:
    monkeypatch.setattr("blackbox.sources.isolation.process.REAP_SECONDS_MAX", 0.2)  # of one that only falls silent
    monkeypatch.setattr(supervisor, "RETRY_SECONDS_MAX", 0.0)
    script.write(f"{order} sample -1")
    assert reason in fault_of(source).reason
    script.write()
    assert sample_again(source).state in ("ok", "degraded")
    assert source.restarts_total > 0


def test_output_is_logged_line_by_line_within_bounds(
    script: Script, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blackbox.sources.isolation.process.LINES_SECONDS", 0.1)
    script.write("chatter sample -1")
    with contextlib.closing(SupervisedSource("scripted", f"{FACTORIES}:Scripted")) as source:
        source.sample()
        source.sample()
        time.sleep(0.2)
        source.sample()
        said = [message.partition(f"process {source.pid}: ")[2] for message in caplog.messages]
    assert said[0] == "line 0"
    assert any(message.endswith("lines omitted") for message in said)
    assert len(said) < 100


def test_a_version_mismatch_is_healed_by_a_fresh_process(
    source: SupervisedSource, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(supervisor.RELOAD_SECONDS, "version_mismatch", 0.3)
    script.write("mismatch open -1")
    assert source.sample().state == "version_mismatch"
    script.write()
    until(lambda: source.sample().state == "ok")
    assert source.restarts_total == 1


def test_the_process_dies_with_its_parent(script: Script) -> None:
    program = f"""
import os, signal
from blackbox.sources.isolation.supervisor import SupervisedSource
source = SupervisedSource("scripted", "{FACTORIES}:Scripted")
source.sample()
print(source.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=PATIENCE_SECONDS)
    assert parent.returncode == -signal.SIGKILL
    until(lambda: not alive(int(parent.stdout)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_meant_for_the_daemon_do_not_end_the_process(source: SupervisedSource, number: int) -> None:
    source.sample()
    pid = source.pid
    assert pid
    os.kill(pid, number)
    assert source.sample().state == "ok"
    assert source.pid == pid
