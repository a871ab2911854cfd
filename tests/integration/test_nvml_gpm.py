"""Counters of whole GPUs on the fake driver: whose they are, and that nobody asks for them by default."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.model.parts import KernelCounters
from blackbox.model.sample import Sample
from blackbox.settings import Settings
from blackbox.sources import SOURCES
from blackbox.sources.nvidia.attribution import CONTAINED, PARTITIONED
from blackbox.sources.nvml.gpm_attribution import FIRST
from blackbox.sources.nvml.source import NvmlSource
from blackbox.sources.proc.processes import HOST_PID_NAMESPACE
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver, Gpm, Gpu, Mig, Process, gpu_uuid, mig_uuid
from tests.running_server import RunningServer

PID, OTHER = 4711, 4712
PEAK = 2619 * 10**6 * 2 * 5120 // 8
LIST_SECONDS = 1.0
NO_PERMISSION, UNKNOWN = 4, 999
PROFILING_CALLS = "nvmlGpm*"


@pytest.fixture
def host_procfs(tmp_path: Path) -> Path:
    """A /proc outside of containers, of a machine that keeps counters for administrators."""
    namespace = tmp_path / "proc" / "self" / "ns" / "pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to(HOST_PID_NAMESPACE)
    parameters = tmp_path / "proc" / "driver" / "nvidia" / "params"
    parameters.parent.mkdir(parents=True)
    parameters.write_text("ResmanDebugLevel: 4294967295\nRmProfilingAdminOnly: 1\n")
    return tmp_path / "proc"


@pytest.fixture
def source(
    fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock, host_procfs: Path
) -> Iterator[NvmlSource]:
    """The source with GPM on; it gives back every sample that it took."""
    source = NvmlSource(library=fake_nvml_library, procfs=host_procfs, clock=nvml_clock, stopwatch=nvml_clock, gpm=True)
    yield source
    source.close()
    assert fake_driver.calls("nvmlGpmSampleAlloc") == fake_driver.calls("nvmlGpmSampleFree")
    assert fake_driver.open_handles() == 0


def hopper(*pids: int, number: int = 0, gpm: Gpm | None = None) -> Gpu:
    return Gpu(uuid=gpu_uuid(number), gpm=gpm or Gpm(), processes=[Process(pid=pid) for pid in pids])


def counters(sample: Sample, pid: int = PID) -> KernelCounters:
    (found,) = (row for row in sample.kernels if row.pid == pid)
    assert (found.scope, found.source) == ("device", "gpm")
    return found


def after_lists(source: NvmlSource, clock: ManualClock, lists: int) -> Sample:
    """The sample when the process lists were read so often more."""
    sample = source.sample()
    for _ in range(lists - 1):
        clock.advance(LIST_SECONDS)
        sample = source.sample()
    return sample


def why_nothing(row: KernelCounters) -> str:
    assert row.occupancy is row.memory_throughput is row.dram_read_bytes is None
    (reason,) = set(row.unknown.values())
    return reason


@pytest.mark.fault(18)
def test_row_18_a_default_run_makes_no_profiling_call(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID), hopper(OTHER, number=1)])
    for _ in range(20):
        assert nvml_source.sample().kernels == ()
        nvml_clock.advance(0.5)
    assert fake_driver.calls(PROFILING_CALLS) == 0
    assert fake_driver.calls() > 0


@pytest.mark.fault(18)
def test_row_18_profiling_is_off_by_default() -> None:
    (spec,) = (spec for spec in SOURCES if spec.name == "nvml")
    assert spec.variant is not None
    assert spec.chosen_factory(Settings().source_options) == spec.factory != spec.variant[1]
    (windows,) = (spec for spec in SOURCES if spec.name == "pm_sampling")
    assert not windows.runs(Settings().source_options, "nvidia")


@pytest.mark.parametrize(("flags", "expected"), [((), "off"), (("--gpm",), "on")])
def test_the_flag_switches_them_on(
    fake_driver: FakeDriver, tmp_path: Path, flags: tuple[str, ...], expected: str
) -> None:
    fake_driver.set_gpus([hopper(PID, OTHER)])
    with RunningServer(tmp_path, "--no-record", *flags) as server, urllib.request.urlopen(f"{server.url}/vram") as got:
        answer = json.load(got)
    (nvml,) = (source for source in answer["sources"] if source["name"] == "nvml")
    assert nvml["facts"]["gpm"] == expected
    entry = answer["nsight_metrics"][str(PID)]
    assert (entry["available"], entry["source"]) == (False, "gpm" if flags else None)
    assert "GPU 0 runs 2 processes" in entry["reason"]


def test_alone_on_its_gpu_a_process_has_the_counters_of_the_gpu(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID)])
    assert why_nothing(counters(after_lists(source, nvml_clock, 1))) == FIRST
    nvml_clock.advance(LIST_SECONDS)
    row = counters(source.sample())
    assert (row.occupancy, row.memory_throughput) == (40.0, round(PEAK / 4))
    assert row.unknown["memory_throughput"].startswith("estimate: 25.0 % of a peak of 3352320000000 bytes per second")
    assert row.dram_read_bytes is row.atomic_operations is row.threads_per_block is row.active_blocks is None
    assert "occupancy" not in row.unknown


def test_counters_stand_until_the_next_process_list(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID)])
    before = after_lists(source, nvml_clock, 2).kernels
    calls = fake_driver.calls(PROFILING_CALLS)
    nvml_clock.advance(0.3)
    assert source.sample().kernels == before
    assert fake_driver.calls(PROFILING_CALLS) == calls > 0


def test_counters_end_with_a_process_list_that_cannot_be_read(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID)])
    after_lists(source, nvml_clock, 2)
    fake_driver.fail("nvmlDeviceGetComputeRunningProcesses*", UNKNOWN)
    nvml_clock.advance(LIST_SECONDS)
    assert why_nothing(counters(source.sample())).startswith("others may be on the GPU: ")


def test_on_a_shared_gpu_nobody_gets_them(fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.set_gpus([hopper(PID, OTHER)])
    sample = after_lists(source, nvml_clock, 3)
    for pid in (PID, OTHER):
        assert why_nothing(counters(sample, pid)) == "GPU 0 runs 2 processes, and GPM counts the whole GPU"
    assert fake_driver.calls(PROFILING_CALLS) == 0


def test_time_with_company_is_given_to_nobody(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID)])
    assert counters(after_lists(source, nvml_clock, 2)).occupancy == 40.0
    fake_driver.set_gpus([hopper(PID, OTHER)])
    nvml_clock.advance(LIST_SECONDS)
    assert "2 processes" in why_nothing(counters(source.sample()))
    fake_driver.set_gpus([hopper(PID)])
    nvml_clock.advance(LIST_SECONDS)
    assert why_nothing(counters(source.sample())) == FIRST
    nvml_clock.advance(LIST_SECONDS)
    assert counters(source.sample()).occupancy == 40.0


def test_a_successor_does_not_inherit(fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.set_gpus([hopper(PID)])
    after_lists(source, nvml_clock, 2)
    fake_driver.set_gpus([hopper(OTHER)])
    nvml_clock.advance(LIST_SECONDS)
    assert why_nothing(counters(source.sample(), OTHER)) == FIRST


def test_a_process_on_two_gpus_gets_neither(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID), hopper(PID, number=1)])
    sample = after_lists(source, nvml_clock, 2)
    assert why_nothing(counters(sample)) == "it is on 2 GPUs, and GPM counts each by itself"


def test_an_older_gpu_says_so(fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=PID)])])
    assert "came with Hopper" in why_nothing(counters(after_lists(source, nvml_clock, 2)))


def test_a_partitioned_gpu_is_not_measured(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    instance = Mig(uuid=mig_uuid(0, 1), gpu_instance_id=1, processes=[Process(pid=PID)])
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), gpm=Gpm(), mig_mode="on", instances=[instance])])
    assert why_nothing(counters(after_lists(source, nvml_clock, 2))) == PARTITIONED


def test_in_a_container_nobody_is_known_to_be_alone(
    fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock, tmp_path: Path
) -> None:
    fake_driver.set_gpus([hopper(PID)])
    source = NvmlSource(library=fake_nvml_library, procfs=tmp_path, clock=nvml_clock, stopwatch=nvml_clock, gpm=True)
    assert why_nothing(counters(after_lists(source, nvml_clock, 2))) == f"{CONTAINED}, and GPM counts the whole GPU"
    source.close()


def test_missing_permission_is_the_reason(fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.set_gpus([hopper(PID)])
    refusal = fake_driver.fail("nvmlGpmSampleGet", NO_PERMISSION)
    sample = after_lists(source, nvml_clock, 2)
    assert "NO_PERMISSION" in why_nothing(counters(sample))
    assert (sample.state, sample.facts["profiling"], sample.facts["gpm"]) == ("ok", "administrators", "on")
    fake_driver.heal(refusal)


@pytest.mark.parametrize("call", ["nvmlGpmMetricsGet", "nvmlGpmSampleAlloc", "nvmlGpmQueryDeviceSupport"])
def test_a_failing_call_costs_a_reading_and_nothing_else(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock, call: str
) -> None:
    fake_driver.set_gpus([hopper(PID)])
    fault = fake_driver.fail(call, UNKNOWN)
    sample = after_lists(source, nvml_clock, 2)
    assert call in why_nothing(counters(sample))
    assert (sample.state, len(sample.processes)) == ("ok", 1)
    fake_driver.heal(fault)
    fake_driver.reset_calls()
    nvml_clock.advance(LIST_SECONDS)
    assert counters(after_lists(source, nvml_clock, 2)).occupancy == 40.0
    source.close()
    assert fake_driver.calls("nvmlGpmSampleFree") == 2
    fake_driver.reset_calls()


def test_an_impossible_percentage_is_not_passed_on(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID, gpm=Gpm(dram_percent=250))])
    assert "impossible percentage" in why_nothing(counters(after_lists(source, nvml_clock, 2)))


def test_without_clock_or_bus_width_there_is_no_estimate(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID, gpm=Gpm(bus_width_bits=None))])
    row = counters(after_lists(source, nvml_clock, 2))
    assert (row.occupancy, row.memory_throughput) == (40.0, None)
    assert "nvmlDeviceGetMemoryBusWidth" in row.unknown["memory_throughput"]


def test_a_lost_gpu_takes_its_counters_along(
    fake_driver: FakeDriver, source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([hopper(PID), hopper(OTHER, number=1)])
    after_lists(source, nvml_clock, 2)
    fake_driver.lose(gpu_uuid(0))
    nvml_clock.advance(LIST_SECONDS)
    sample = source.sample()
    assert [row.pid for row in sample.kernels] == [OTHER]
    assert counters(sample, OTHER).occupancy == 40.0
