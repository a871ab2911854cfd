"""The driver library as a whole: absent, refusing, lost, closed, watched over."""

import threading
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from blackbox.sources.nvml.source import OPEN_RETRY_SECONDS, NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver, gpu_uuid
from tests.nvml_samples import TICK_SECONDS, device, sample_until
from tests.running_server import blackbox, environment

UNINITIALIZED, NO_PERMISSION, DRIVER_NOT_LOADED, TIMEOUT, VERSION_MISMATCH, UNKNOWN = 1, 4, 9, 10, 18, 999
RECOVERY_SECONDS_MAX = 5
PLAIN_READS = (
    "nvmlInit*",
    "nvmlShutdown",
    "nvmlSystemGet*",
    "nvmlDeviceGet*",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSet*",
)


def test_without_a_library_the_sample_says_so(fake_driver: FakeDriver, tmp_path: Path) -> None:
    source = NvmlSource(library=tmp_path / "libnvidia-ml.so.1")
    sample = source.sample()
    source.close()
    assert (sample.state, sample.devices) == ("no_driver", ())
    assert "libnvidia-ml.so.1 not found" in (sample.reason or "")


@pytest.mark.parametrize(("content", "words"), [(b"", "file too short"), (b"no library" * 99, "invalid ELF header")])
def test_a_library_that_cannot_be_loaded_is_told_in_the_loaders_words(
    fake_driver: FakeDriver, tmp_path: Path, content: bytes, words: str
) -> None:
    library = tmp_path / "libnvidia-ml.so.1"
    library.write_bytes(content)
    source = NvmlSource(library=library)
    sample = source.sample()
    source.close()
    assert sample.state == "no_driver"
    assert words in (sample.reason or "")
    assert "not found" not in (sample.reason or "")


def test_other_bindings_in_the_environment_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise SystemExit('imported')")
    env = environment(tmp_path, PYTHONPATH=str(tmp_path), BLACKBOX_VENDOR="nvidia")
    told = blackbox("doctor", env=env)
    assert "libnvidia-ml.so.1" in told.stdout
    assert "imported" not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("code", "state", "hint"),
    [
        (DRIVER_NOT_LOADED, "no_driver", "modprobe"),
        (NO_PERMISSION, "no_access", "/dev/nvidia"),
        pytest.param(VERSION_MISMATCH, "version_mismatch", "reload", marks=pytest.mark.fault(2)),
        pytest.param(UNKNOWN, "no_access", "daemon-reload", marks=pytest.mark.fault(17)),
        (20, "failed", "MEMORY"),
    ],
)
def test_rows_02_17_a_refused_start_is_named_and_tried_again(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, code: int, state: str, hint: str
) -> None:
    fake_driver.populate(1)
    refusal = fake_driver.fail("nvmlInit*", code)
    for _ in range(10):
        sample = nvml_source.sample()
        assert (sample.state, sample.devices) == (state, ())
        assert hint in (sample.reason or "")
        nvml_clock.advance(TICK_SECONDS)
    assert fake_driver.calls("nvmlInit*") == 3  # at 0, 2 and 4 s
    fake_driver.heal(refusal)
    sample_until(nvml_source, nvml_clock, RECOVERY_SECONDS_MAX, lambda sample: sample.state == "ok")


@pytest.mark.parametrize("code", [UNINITIALIZED, DRIVER_NOT_LOADED, VERSION_MISMATCH])
def test_a_library_lost_in_mid_run_is_opened_again(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, code: int
) -> None:
    fake_driver.populate(2, 3)
    assert nvml_source.sample().state == "ok"
    loss = fake_driver.fail("nvmlDevice*", code)
    nvml_clock.advance(TICK_SECONDS)
    sample = nvml_source.sample()
    assert sample.state in ("no_driver", "version_mismatch", "failed")
    assert sample.devices == ()
    fake_driver.heal(loss)
    back = sample_until(nvml_source, nvml_clock, RECOVERY_SECONDS_MAX, lambda sample: sample.state == "ok")[-1]
    assert len(back.devices) == 2
    assert fake_driver.open_handles() == 1


def test_a_shutdown_that_failed_is_made_up_for(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(1)
    nvml_source.sample()
    loss = fake_driver.fail("nvml[DS]*", DRIVER_NOT_LOADED)
    nvml_clock.advance(1)
    assert nvml_source.sample().state == "no_driver"
    fake_driver.heal(loss)
    sample_until(nvml_source, nvml_clock, RECOVERY_SECONDS_MAX, lambda sample: sample.state == "ok")
    nvml_source.close()
    assert fake_driver.open_handles() == 0


def test_a_gpu_missing_after_the_library_came_back_is_lost(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2)
    nvml_source.sample()
    loss = fake_driver.fail("nvmlDeviceGetCount_v2", UNINITIALIZED)
    nvml_clock.advance(1)
    nvml_source.sample()
    fake_driver.heal(loss)
    fake_driver.populate(1)
    nvml_clock.advance(OPEN_RETRY_SECONDS)
    sample = nvml_source.sample()
    assert [found.state for found in sample.devices] == ["ok", "lost"]
    assert [(event.kind, event.gpu_uuid) for event in sample.events] == [("gpu_lost", gpu_uuid(1))]


def test_handles_of_before_are_void_after_the_library_was_opened_again(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2)
    nvml_source.sample()
    loss = fake_driver.fail("nvmlDeviceGetCount_v2", UNINITIALIZED)
    nvml_clock.advance(1)
    nvml_source.sample()
    fake_driver.heal(loss)
    fault = fake_driver.fail("nvmlDeviceGetHandleByIndex_v2", TIMEOUT, device=gpu_uuid(1))
    fake_driver.reset_calls()
    nvml_clock.advance(OPEN_RETRY_SECONDS)
    sample = nvml_source.sample()
    assert [found.state for found in sample.devices] == ["ok", "stale"]
    assert fake_driver.calls("nvmlDeviceGetMemoryInfo*") == 1
    fake_driver.heal(fault)
    sample_until(nvml_source, nvml_clock, RECOVERY_SECONDS_MAX, lambda sample: sample.state == "ok")


def test_close_leaves_no_handle_and_no_thread_and_can_be_undone(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.populate(2)
    for _ in range(3):
        assert nvml_source.sample().state == "ok"
        assert fake_driver.open_handles() == 1
        nvml_source.close()
        nvml_source.close()
        assert fake_driver.open_handles() == 0
        assert "nvml-events" not in [thread.name for thread in threading.enumerate()]


def test_a_lost_gpu_makes_the_library_be_opened_anew_from_time_to_time(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2)
    nvml_source.sample()
    fake_driver.populate(1)
    for _ in range(200):
        nvml_clock.advance(1)
        assert device(nvml_source.sample(), gpu_uuid(0)).taken_at == nvml_clock.now
    assert fake_driver.calls("nvmlInit*") == 3  # at the start, and 60 and 180 s after the loss
    assert fake_driver.open_handles() == 1


@pytest.mark.fault(18)
def test_row_18_default_run_makes_plain_reads_only(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(4, 8)
    for _ in range(10):
        nvml_source.sample()
        nvml_clock.advance(TICK_SECONDS)
    nvml_source.close()
    made = fake_driver.call_counts()
    assert made
    assert fake_driver.calls("nvmlGpm*") == 0
    assert [name for name in made if not any(fnmatchcase(name, pattern) for pattern in PLAIN_READS)] == []


def test_every_driver_call_is_announced(fake_driver: FakeDriver, fake_nvml_library: Path) -> None:
    announced: list[tuple[str, int]] = []
    fake_driver.populate(2)
    source = NvmlSource(library=fake_nvml_library, breadcrumb=lambda name, gpu: announced.append((name, gpu)))
    source.sample()
    source.close()
    made = fake_driver.call_counts()
    del made["nvmlEventSetWait_v2"], made["nvmlEventSetFree"]  # of the event thread, for which no sample waits
    assert sorted({name for name, _ in announced} - {"getpwuid"}) == sorted(made)
    assert ("nvmlDeviceGetMemoryInfo_v2", 1) in announced
    assert {name for name, gpu in announced if gpu == -1} >= NvmlSource.vital_calls


def test_calls_in_quarantine_are_not_made(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2, 2)
    reason = "nvmlDeviceGetMemoryInfo_v2 on GPU 1 hung"
    nvml_source.quarantine = {
        ("nvmlDeviceGetMemoryInfo_v2", 1): reason,
        ("nvmlDeviceGetComputeRunningProcesses_v3", -1): "crashed",
    }
    sample = nvml_source.sample()
    assert device(sample, gpu_uuid(0)).state == "ok"
    barred = device(sample, gpu_uuid(1))
    assert (barred.state, barred.reason, barred.memory) == ("failed", reason, None)
    assert fake_driver.calls("nvmlDeviceGetMemoryInfo_v2") == 1
    assert fake_driver.calls("nvmlDeviceGetComputeRunningProcesses*") == 0
    assert barred.unknown["processes"] == "crashed"
    nvml_source.quarantine = {}
    nvml_clock.advance(1)
    sample = nvml_source.sample()
    assert (sample.state, len(sample.processes)) == ("ok", 4)


def test_events_in_quarantine_are_not_awaited(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(1)
    nvml_source.quarantine = {("nvmlEventSetWait_v2", -1): "crashed"}
    assert nvml_source.sample().facts["events"] == "crashed"
    assert fake_driver.calls("nvmlEventSetWait*") == 0


def test_init_in_quarantine_is_told(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    nvml_source.quarantine = {("nvmlInitWithFlags", -1): "nvmlInitWithFlags hung"}
    sample = nvml_source.sample()
    assert (sample.state, sample.reason) == ("failed", "nvmlInitWithFlags hung")
    assert fake_driver.calls("nvmlInit*") == 0
