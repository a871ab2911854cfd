"""The fault catalogue's driver rows, on the real NVML bindings in a real child process, with a fake driver below."""

import itertools
import os
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from blackbox.model.moment import Moment
from blackbox.model.parts import Device
from blackbox.sources import SOURCES
from blackbox.sources.isolation.supervisor import RELOAD_SECONDS
from tests.fake_nvml import FakeDriver, gpu_uuid
from tests.integration.watch import Watch, watching
from tests.waiting import SLACK_SECONDS, until

NVML = next(spec for spec in SOURCES if spec.name == "nvml")
GPUS = 8
RECOVERY_SECONDS_MAX = 5.0
STALE_SECONDS_MAX = 1.5


@pytest.fixture
def watch(fake_driver: FakeDriver) -> Iterator[Watch]:
    fake_driver.populate(GPUS, 4)
    with watching(NVML) as watch:
        yield watch


def devices(moment: Moment) -> tuple[Device, ...]:
    return moment.samples[0].devices if moment.samples else ()


def ages(moment: Moment) -> list[float]:
    return [moment.taken_at - device.taken_at for device in devices(moment)]


def children() -> list[int]:
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    tasks = Path("/proc/self/task")
    if not own.exists():
        pytest.skip("this kernel does not list children")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def source_processes() -> list[int]:
    return [pid for pid in children() if b"blackbox.sources.isolation.child" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """Empty for one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.fault(1)
@pytest.mark.parametrize("folder_exists", [True, False])
def test_row_01_a_library_that_appears_later_is_found_without_restart(
    fake_driver: FakeDriver,
    fake_nvml_library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder_exists: bool,
) -> None:
    fake_driver.populate(2, 1)
    folder = tmp_path / "lib"
    if folder_exists:
        folder.mkdir()
    else:
        monkeypatch.setitem(RELOAD_SECONDS, "no_driver", 1.0)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    with watching(NVML) as watch:
        assert watch.until_state("no_driver") <= 2.0 + SLACK_SECONDS
        assert watch.status.reason
        folder.mkdir(exist_ok=True)
        (folder / "libnvidia-ml.so.1").symlink_to(fake_nvml_library)
        assert watch.until(lambda moment: len(devices(moment)) == 2) <= RECOVERY_SECONDS_MAX + SLACK_SECONDS


@pytest.mark.fault(2)
def test_row_02_a_mismatch_is_named_and_healed_by_a_fresh_process(watch: Watch, fake_driver: FakeDriver) -> None:
    watch.until_state("ok")
    fake_driver.fail("*", 18)
    watch.until_state("version_mismatch")
    watch.until(lambda moment: moment.sources[0].restarts_total > 0)
    fake_driver.heal()
    assert watch.until_state("ok") <= RECOVERY_SECONDS_MAX + SLACK_SECONDS
    assert len(devices(watch.latest)) == GPUS


@pytest.mark.fault(2)
def test_row_02_a_mismatch_from_the_start_is_healed_too(fake_driver: FakeDriver) -> None:
    fake_driver.populate(GPUS, 1)
    fake_driver.fail("nvmlInit*", 18)
    with watching(NVML) as watch:
        watch.until_state("version_mismatch")
        assert watch.status.reason
        fake_driver.heal()
        assert watch.until_state("ok") <= RECOVERY_SECONDS_MAX + SLACK_SECONDS


@pytest.mark.fault(3)
def test_row_03_release_closes_every_handle_and_resume_takes_them_back(watch: Watch, fake_driver: FakeDriver) -> None:
    watch.until_state("ok")
    assert fake_driver.open_handles() == 1
    watch.sampler.release()
    watch.until_state("released")
    until(lambda: fake_driver.open_handles() == 0 and source_processes() == [])
    watch.sampler.resume()
    assert watch.until(lambda moment: len(devices(moment)) == GPUS) <= 2.0 + SLACK_SECONDS


@pytest.mark.fault(5)
def test_row_05_one_call_hanging_on_gpu_3_leaves_the_others_fresh(watch: Watch, fake_driver: FakeDriver) -> None:
    watch.until_state("ok")
    fake_driver.hang("nvmlDeviceGetMemoryInfo*", seconds=600, device=gpu_uuid(3))
    assert watch.until_state("stale") <= STALE_SECONDS_MAX + SLACK_SECONDS
    watch.until_state("degraded")
    began = watch.latest.seq
    watch.until(lambda moment: moment.seq >= began + 8)
    last = devices(watch.latest)
    assert [device.index for device in last if device.state == "ok"] == [0, 1, 2, 4, 5, 6, 7]
    fresh = [age for moment in watch.moments[-8:] for index, age in enumerate(ages(moment)) if index != 3]
    assert max(fresh) <= 1.0 + SLACK_SECONDS

    def is_told(moment: Moment) -> bool:
        named = [device.reason or "" for device in devices(moment)] + [watch.status.reason or ""]
        return any("nvmlDeviceGetMemoryInfo_v2 on GPU 3 did not return within" in reason for reason in named)

    watch.until(is_told)  # first, on a machine that is slow to end the child, that the call keeps it
    until(lambda: len(source_processes()) <= 1)
    fake_driver.heal()
    watch.until_state("ok")
    assert [device.state for device in devices(watch.latest)] == ["ok"] * GPUS


@pytest.mark.fault(5)
@pytest.mark.parametrize("call", ["nvmlInit*", "nvmlDeviceGetCount*"])
def test_row_05_a_vital_call_that_hangs_makes_all_stale_until_it_returns(
    watch: Watch, fake_driver: FakeDriver, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blackbox.sources.isolation.supervisor.SLOW_SECONDS_MAX", 1.0)
    watch.until_state("ok")
    os.kill(source_processes()[0], signal.SIGKILL)
    fake_driver.hang(call, seconds=600)
    assert watch.until_state("stale") <= STALE_SECONDS_MAX + SLACK_SECONDS
    watch.until(lambda moment: "did not return within 1.0 s" in (moment.sources[0].reason or ""))
    until(lambda: len(source_processes()) <= 1)
    fake_driver.heal()
    assert watch.until_state("ok") <= RECOVERY_SECONDS_MAX + SLACK_SECONDS


@pytest.mark.fault(5)
def test_row_05_a_stopped_process_shows_and_is_replaced(watch: Watch) -> None:
    watch.until_state("ok")
    lost, back = watch.events("source_lost"), watch.events("source_back")
    os.kill(source_processes()[0], signal.SIGSTOP)
    assert watch.until_state("stale") <= STALE_SECONDS_MAX + SLACK_SECONDS
    until(lambda: len(source_processes()) <= 1)
    assert watch.until_state("ok") <= RECOVERY_SECONDS_MAX + SLACK_SECONDS
    assert (watch.events("source_lost"), watch.events("source_back")) == (lost + 1, back + 1)


@pytest.mark.fault(5)
def test_row_05_a_sampler_with_a_hanging_source_stops_in_time(fake_driver: FakeDriver) -> None:
    fake_driver.populate(1, 1)
    with watching(NVML) as watch:
        watch.until_state("ok")
        fake_driver.hang("*", seconds=600)
        watch.until_state("stale")
        began_at = time.monotonic()
        watch.sampler.close(2.5)
        assert time.monotonic() - began_at <= 2.5 + SLACK_SECONDS
        assert source_processes() == []


@pytest.mark.fault(6)
def test_row_06_a_crash_in_the_driver_costs_at_most_one_second(watch: Watch, fake_driver: FakeDriver) -> None:
    watch.until_state("ok")
    fake_driver.crash("nvmlDeviceGetMemoryInfo*", device=gpu_uuid(3), times=1)
    watch.until(lambda moment: moment.sources[0].restarts_total == 1)
    gaps = [max(ages(moment)[:3]) for moment in watch.moments if devices(moment)]
    assert max(gaps) <= 1.0 + SLACK_SECONDS
    watch.until_state("ok")
    assert len(devices(watch.latest)) == GPUS


@pytest.mark.fault(6)
def test_row_06_a_driver_that_crashes_at_every_call_is_outlived(watch: Watch, fake_driver: FakeDriver) -> None:
    watch.until_state("ok")
    fake_driver.crash("*")
    watch.until_state("failed")
    before = watch.latest.seq
    watch.until(lambda moment: moment.seq >= before + 4)
    assert "SIGSEGV" in (watch.status.reason or "")
    fake_driver.heal()
    assert watch.until_state("ok") <= RECOVERY_SECONDS_MAX + SLACK_SECONDS


@pytest.mark.fault(17)
def test_row_17_a_container_that_lost_its_gpu_is_told_so(fake_driver: FakeDriver) -> None:
    fake_driver.populate(2, 1)
    fake_driver.fail("nvmlInit*", 999)
    with watching(NVML) as watch:
        watch.until_state("no_access")
        assert "container" in (watch.status.reason or "")
        fake_driver.heal()
        assert watch.until_state("ok") <= RECOVERY_SECONDS_MAX + SLACK_SECONDS


@pytest.mark.fault(19)
def test_row_19_cadence_holds_when_the_wall_clock_jumps(fake_driver: FakeDriver) -> None:
    fake_driver.populate(1, 1)
    jumps = [0.0]
    with watching(NVML, wall=lambda: time.time() + jumps[-1]) as watch:
        for jump in (-3600.0, 172_800.0):
            watch.until(lambda moment: moment.seq % 3 == 0)
            jumps.append(jump)
        watch.until(lambda moment: moment.seq % 3 == 0)
        moments = list(watch.moments[1:])
    gaps = [later.taken_at - earlier.taken_at for earlier, later in itertools.pairwise(moments)]
    assert statistics.median(gaps) == pytest.approx(0.5, abs=0.05)
    wall_gaps = [later.timestamp - earlier.timestamp for earlier, later in itertools.pairwise(moments)]
    assert min(wall_gaps) < -3000
    assert max(wall_gaps) > 170_000


@pytest.mark.fault(20)
def test_row_20_old_data_never_look_fresh(watch: Watch, fake_driver: FakeDriver) -> None:
    watch.until_state("ok")
    began = len(watch.moments) - 1
    fake_driver.hang("*", seconds=600)
    assert watch.until_state("stale") <= 2.0 + SLACK_SECONDS
    watch.until(lambda moment: (moment.sources[0].age_seconds or 0) > 3.0)
    for moment in watch.moments[began:]:
        age = moment.sources[0].age_seconds
        assert moment.sources[0].state in ("stale", "failed") or (age is not None and age < 2.0)
        assert age == pytest.approx(max([*ages(moment), 0.0]), abs=0.6)
