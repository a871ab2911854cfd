"""The driver's process lists: merged, checked, named, and read as rarely as they are dear."""

import itertools
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from blackbox.model.sample import Sample
from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import GIB, FakeDriver, Gpu, Process, build, gpu_uuid
from tests.nvml_samples import TICK_SECONDS, device, process
from tests.waiting import PATIENCE_SECONDS

NOT_AVAILABLE = str(2**64 - 1)
PID_MAX = 4_194_304
NO_PERMISSION, TIMEOUT, FUNCTION_NOT_FOUND = 4, 10, 13
ROOT = Path(__file__).parents[2]


def one_gpu(*processes: Process) -> list[Gpu]:
    return [Gpu(uuid=gpu_uuid(0), processes=list(processes))]


def rows(sample: Sample) -> dict[int, int | None]:
    return {row.pid: row.used_bytes for row in sample.processes}


def test_lists_are_merged_by_maximum_and_the_strongest_kind(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.set_gpus(
        one_gpu(
            Process(pid=1, used_bytes=3 * GIB, kind="compute"),
            Process(pid=1, used_bytes=GIB, kind="graphics"),
            Process(pid=2, used_bytes=GIB, kind="compute"),
            Process(pid=2, used_bytes=2 * GIB, kind="mps"),
            Process(pid=3, used_bytes=5 * GIB, kind="graphics"),
            Process(pid=4, used_bytes=None, kind="compute"),
            Process(pid=4, used_bytes=GIB, kind="graphics"),
        )
    )
    found = {row.pid: (row.used_bytes, row.kind) for row in nvml_source.sample().processes}
    assert found == {1: (3 * GIB, "compute"), 2: (2 * GIB, "mps"), 3: (5 * GIB, "graphics"), 4: (GIB, "compute")}


def test_a_living_process_is_named(fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.set_gpus(one_gpu(Process(pid=os.getpid(), used_bytes=GIB)))
    row = process(nvml_source.sample(), os.getpid())
    assert row.name == Path("/proc/self/comm").read_text().strip()
    assert row.uid == os.getuid()
    assert row.user == pwd.getpwuid(os.getuid()).pw_name
    assert row.start_time is not None
    assert row.state in ("running", "active", "waiting")
    assert row.unknown == {}
    sum(range(3_000_000))  # uses more than one tick of CPU time
    nvml_clock.advance(1)
    assert process(nvml_source.sample(), os.getpid()).state in ("running", "active")


@pytest.mark.fault(7)
def test_row_07_rows_with_a_fifth_field_are_read_right(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.set_gpus(one_gpu(*(Process(pid=100 + number, used_bytes=number * GIB) for number in range(7))))
    fake_driver.machine.row_bytes = 32
    fake_driver.write()
    assert rows(nvml_source.sample()) == {100 + number: number * GIB for number in range(7)}


@pytest.mark.fault(7)
@pytest.mark.parametrize("row_bytes", [32, 40, 48])
def test_row_07_nonsense_rows_are_never_shown(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, row_bytes: int
) -> None:
    fake_driver.machine.row_bytes = row_bytes
    for count in (1, 2, 3, 20, 100):
        processes = (Process(pid=100 + number, used_bytes=GIB) for number in range(count))
        fake_driver.set_gpus(one_gpu(*processes))
        nvml_clock.advance(1)
        sample = nvml_source.sample()
        total = 80 * GIB
        assert [row for row in sample.processes if row.pid > PID_MAX or (row.used_bytes or 0) > total] == []
        assert rows(sample).keys() <= {100 + number for number in range(count)}
        if row_bytes > 32 and count > 1:
            assert sample.processes == ()
            assert device(sample, gpu_uuid(0)).unknown["processes"].startswith("invalid")
            assert sample.state == "degraded"


@pytest.mark.fault(7)
@pytest.mark.parametrize("driver", [535, 470, 450])
def test_row_07_older_drivers_lists_are_read(fake_driver: FakeDriver, tmp_path: Path, driver: int) -> None:
    library = build(tmp_path, driver=driver)
    fake_driver.set_gpus(one_gpu(*(Process(pid=100 + number, used_bytes=number * GIB) for number in range(5))))
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.print_samples"],
        env=os.environ | fake_driver.environment(library),
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    sample = msgspec.json.decode(done.stdout, type=Sample)
    assert rows(sample) == {100 + number: number * GIB for number in range(5)}
    assert sample.state == "ok"
    found = device(sample, gpu_uuid(0))
    assert found.temperature_celsius == 30
    assert found.memory is not None
    assert found.memory.source == ("nvml_v2" if driver == 535 else "nvml_v1")


@pytest.mark.fault(8)
def test_row_08_memory_not_available_is_unknown_and_the_row_kept(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.set_gpus(one_gpu(Process(pid=1, used_bytes=None), Process(pid=2, used_bytes=GIB)))
    sample = nvml_source.sample()
    assert rows(sample) == {1: None, 2: GIB}
    assert "used_bytes" in process(sample, 1).unknown
    assert "used_bytes" not in process(sample, 2).unknown
    assert NOT_AVAILABLE not in msgspec.json.encode(sample).decode()


@pytest.mark.fault(11)
def test_row_11_processes_that_exit_while_they_are_read(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    for _ in range(60):
        short = [subprocess.Popen(["true"]) for _ in range(4)]
        pids = {process.pid for process in short}
        fake_driver.set_gpus(one_gpu(*(Process(pid=pid, used_bytes=GIB) for pid in pids)))
        for _ in range(5):
            nvml_clock.advance(1)
            sample = nvml_source.sample()
            assert sample.state == "ok"
            assert rows(sample) == dict.fromkeys(pids, GIB)
            for row in sample.processes:
                assert row.name is not None or "not to be seen" in row.unknown["name"]
        for process_ in short:
            process_.wait()
        nvml_clock.advance(1)
        assert {row.name for row in nvml_source.sample().processes} == {None}


@pytest.mark.fault(13)
def test_row_13_a_thousand_processes_on_each_of_eight_gpus(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(8, 1000)
    sample = nvml_source.sample()
    assert len({(row.gpu_uuid, row.pid) for row in sample.processes}) == len(sample.processes) == 8000
    assert sample.state == "ok"
    assert sample.cost["process_list_retries_total"] == 0


@pytest.mark.fault(14)
def test_row_14_list_grows_between_calls(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2, 900)
    fake_driver.machine.list_growth = 3
    fake_driver.write()
    for _ in range(20):
        sample = nvml_source.sample()
        assert sample.state == "ok"
        counts = {uuid: sum(row.gpu_uuid == uuid for row in sample.processes) for uuid in (gpu_uuid(0), gpu_uuid(1))}
        assert set(counts.values()) <= {900, 2700}
        nvml_clock.advance(1)
    assert sample.cost["process_list_retries_total"] > 0


def test_the_list_is_read_once_a_second_at_most(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(1, 1)
    first = nvml_source.sample()
    assert first.processes_taken_at == nvml_clock.now
    fake_driver.reset_calls()
    for _ in range(20):  # ten seconds
        nvml_clock.advance(TICK_SECONDS)
        sample = nvml_source.sample()
    assert fake_driver.calls("nvmlDeviceGetComputeRunningProcesses*") == 10
    assert fake_driver.calls("nvmlDeviceGetMemoryInfo*") == 20
    assert sample.cost["process_list_interval_seconds"] == 1


@pytest.mark.parametrize("nvml_stopwatch", [time.perf_counter])
def test_a_slow_list_is_read_more_rarely(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(1, 1)
    fake_driver.hang("nvmlDeviceGetComputeRunningProcesses*", 0.05)
    sample = nvml_source.sample()
    assert sample.cost["process_list_seconds"] >= 0.05
    interval = sample.cost["process_list_interval_seconds"]
    assert interval >= 5
    read_at = nvml_clock.now
    fake_driver.reset_calls()
    nvml_clock.advance(4)
    assert nvml_source.sample().processes_taken_at == read_at
    assert fake_driver.calls("nvmlDeviceGetComputeRunningProcesses*") == 0
    nvml_clock.advance(interval)
    assert nvml_source.sample().processes_taken_at == nvml_clock.now


def test_a_passing_fault_keeps_the_last_list_with_its_age(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2, 2)
    before = nvml_source.sample()
    fault = fake_driver.fail("nvmlDeviceGetComputeRunningProcesses*", TIMEOUT, device=gpu_uuid(1))
    nvml_clock.advance(1)
    sample = nvml_source.sample()
    assert rows(sample) == rows(before)
    assert sample.processes_taken_at == before.processes_taken_at
    assert "TIMEOUT" in device(sample, gpu_uuid(1)).unknown["processes"]
    assert sample.state == "degraded"
    fake_driver.heal(fault)
    nvml_clock.advance(1)
    assert nvml_source.sample().processes_taken_at == nvml_clock.now


def test_a_list_counts_only_when_the_device_behind_the_handle_is_still_the_same(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(2, 2)
    before = nvml_source.sample()
    # the third time in this tick: after the enumeration and the memory, behind the list
    fake_driver.fail("nvmlDeviceGetUUID", TIMEOUT, device=gpu_uuid(1), skip=2, times=1)
    nvml_clock.advance(1)
    sample = nvml_source.sample()
    assert device(sample, gpu_uuid(1)).state == "ok"
    assert "nvmlDeviceGetUUID" in device(sample, gpu_uuid(1)).unknown["processes"]
    assert sample.processes_taken_at == before.processes_taken_at


@pytest.mark.parametrize("kind", ["Graphics", "MPSCompute"])
def test_a_list_the_driver_does_not_have_is_empty(fake_driver: FakeDriver, nvml_source: NvmlSource, kind: str) -> None:
    fake_driver.populate(1, 3)
    fake_driver.fail(f"nvmlDeviceGet{kind}RunningProcesses*", FUNCTION_NOT_FOUND)
    sample = nvml_source.sample()
    assert (sample.state, len(sample.processes)) == ("ok", 3)


def test_a_denied_list_is_named(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(1, 3)
    fake_driver.fail("nvmlDeviceGetGraphicsRunningProcesses*", NO_PERMISSION)
    sample = nvml_source.sample()
    assert len(sample.processes) == 3
    assert "NO_PERMISSION" in device(sample, gpu_uuid(0)).unknown["processes"]


def test_cost_only_grows(fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.populate(2, 2)
    costs: list[dict[str, float]] = []
    for _ in range(4):
        costs.append(nvml_source.sample().cost)
        nvml_clock.advance(TICK_SECONDS)
    for before, after in itertools.pairwise(costs):
        assert before["driver_calls_total"] < after["driver_calls_total"]
        for total in ("driver_seconds_total", "cpu_seconds_total"):
            assert before[total] <= after[total]
