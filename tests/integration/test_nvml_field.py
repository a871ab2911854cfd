"""What drivers really answer, as reports from the field tell: the part that is wrong costs itself alone.

The cases lie beside the checkout; each kind is also played here on a machine of its own.
"""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from blackbox.model.sample import Sample
from blackbox.sources.nvidia.process_list import ROWS_CUT
from blackbox.sources.nvml.source import NvmlSource
from blackbox.sources.proc.processes import HOST_PID_NAMESPACE
from tests.clocks import ManualClock
from tests.fake_nvml import GIB, FakeDriver, Gpu, Limit, Memory, Mig, Process, build, gpu_uuid, mig_uuid
from tests.nvml_samples import device, feed_case, gpu, snapshot
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until

NOT_SUPPORTED, NO_PERMISSION, TIMEOUT, UNKNOWN = 3, 4, 10, 999
LISTS = "nvmlDeviceGet*RunningProcesses*"
CASE_GPU = "GPU-00000001"
CASE_INSTANCES = ("MIG-00000001", "MIG-00000002")


@pytest.fixture
def sleepers() -> Iterator[tuple[int, int]]:
    """Pids of two processes that live."""
    started = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield started[0].pid, started[1].pid
    for process in started:
        process.kill()
        process.wait()


def used(sample: Sample) -> dict[int, int | None]:
    return {row.pid: row.used_bytes for row in sample.processes}


def homes(sample: Sample) -> dict[int, str]:
    return {row.pid: row.gpu_uuid for row in sample.processes}


def _health(url: str) -> int:
    try:
        with urllib.request.urlopen(f"{url}/healthz") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def partitioned(*processes_of: list[Process], filtered: bool | int = False) -> list[Gpu]:
    """A GPU whose instances hold these processes."""
    instances = [
        Mig(uuid=mig_uuid(0, number), gpu_instance_id=number, processes=processes)
        for number, processes in enumerate(processes_of, start=7)
    ]
    return [Gpu(uuid=gpu_uuid(0), mig_mode="on", instances=instances, filtered=filtered)]


# ---- rows that cannot be ----


@pytest.mark.fault(62)
def test_row_62_the_case_of_one_bad_row(
    fake_driver: FakeDriver, nvml_source: NvmlSource, sleepers: tuple[int, int]
) -> None:
    feed_case(fake_driver, "nvml-one-bad-row", *sleepers)
    sample = nvml_source.sample()
    assert used(sample) == {sleepers[0]: 2 * GIB, sleepers[1]: 3 * GIB}
    assert "pid 0 with 0 bytes" in device(sample, CASE_GPU).unknown["processes"]
    assert sample.state == "ok"
    answer = snapshot(sample)
    assert answer.unattributed_bytes == GIB
    assert "pid 0" in answer.unknown["processes"]
    assert "pid 0" in answer.gpus[0].unknown["unattributed_bytes"]
    assert sample.cost["process_rows_left_out_total"] == 1


@pytest.mark.fault(62)
@pytest.mark.parametrize("bad", [Process(pid=0, used_bytes=0), Process(pid=0), Process(pid=77, used_bytes=81 * GIB)])
@pytest.mark.parametrize("kind", ["compute", "graphics", "mps"])
def test_row_62_rows_that_cannot_be_cost_themselves(
    fake_driver: FakeDriver, nvml_source: NvmlSource, bad: Process, kind: str
) -> None:
    good = [Process(pid=100, kind=kind), Process(pid=101, used_bytes=2 * GIB, kind=kind)]  # type: ignore[arg-type]
    rows = [msgspec.structs.replace(bad, kind=kind), good[0], msgspec.structs.replace(bad, kind=kind), good[1]]
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=rows, memory=Memory(used_bytes=5 * GIB))])
    sample = nvml_source.sample()
    assert used(sample) == {100: GIB, 101: 2 * GIB}
    assert f"pid {bad.pid} with {bad.used_bytes} bytes and 1 more" in device(sample, gpu_uuid(0)).unknown["processes"]
    assert sample.state == "ok"


def test_a_list_cut_where_the_kernel_module_stops_is_marked(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.populate(2, ROWS_CUT + 50)
    fake_driver.machine.list_rows_max = ROWS_CUT
    fake_driver.machine.gpus[1].processes = fake_driver.machine.gpus[1].processes[: ROWS_CUT - 1]
    fake_driver.write()
    sample = nvml_source.sample()
    assert "stops at 950" in device(sample, gpu_uuid(0)).unknown["processes"]
    assert "processes" not in device(sample, gpu_uuid(1)).unknown
    assert len(sample.processes) == 2 * ROWS_CUT - 1
    assert sample.state == "ok"


# ---- MIG ----


def test_the_case_of_a_parent_whose_list_fails(
    fake_driver: FakeDriver, nvml_source: NvmlSource, sleepers: tuple[int, int]
) -> None:
    feed_case(fake_driver, "mig-parent-read-fails", *sleepers)
    sample = nvml_source.sample()
    assert homes(sample) == dict(zip(sleepers, CASE_INSTANCES, strict=True))
    assert sample.state == "ok"
    for uuid in CASE_INSTANCES:
        assert gpu(sample, uuid).unattributed_bytes == 0
        assert "unattributed_bytes" not in gpu(sample, uuid).unknown


def test_the_case_of_lists_that_name_no_instance(
    fake_driver: FakeDriver, tmp_path: Path, sleepers: tuple[int, int]
) -> None:
    feed_case(fake_driver, "mig-lists-without-ids", *sleepers)
    environment = os.environ | fake_driver.environment(build(tmp_path, driver=450))
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.print_samples"],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    sample = msgspec.json.decode(done.stdout, type=Sample)
    assert homes(sample) == dict(zip(sleepers, CASE_INSTANCES, strict=True))
    # version 1 of the memory call counts what the driver reserves as used
    assert {gpu(sample, uuid).unattributed_bytes for uuid in CASE_INSTANCES} == {16 << 20}
    assert sample.state == "ok"


@pytest.mark.parametrize("code", [*range(1, 30), UNKNOWN])
def test_instances_are_asked_whatever_the_code_of_the_refusal(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, code: int
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)]))
    fake_driver.fail(LISTS, code, device=gpu_uuid(0))
    for _ in range(3):
        sample = nvml_source.sample()
        assert homes(sample) == {10: mig_uuid(0, 7), 11: mig_uuid(0, 8)}
        assert sample.state == "ok"
        assert not any("unattributed_bytes" in row.unknown for row in snapshot(sample).gpus)
        nvml_clock.advance(1)


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION, UNKNOWN])
def test_an_instance_whose_list_was_not_read_is_marked(
    fake_driver: FakeDriver, nvml_source: NvmlSource, code: int
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)]))
    fake_driver.fail(LISTS, code, device=gpu_uuid(0))
    fake_driver.fail(LISTS, code, device=mig_uuid(0, 8))
    sample = nvml_source.sample()
    assert homes(sample) == {10: mig_uuid(0, 7)}
    assert "unattributed_bytes" not in gpu(sample, mig_uuid(0, 7)).unknown
    for uuid in (gpu_uuid(0), mig_uuid(0, 8)):
        assert f"({code})" in gpu(sample, uuid).unknown["unattributed_bytes"]
        assert f"({code})" in gpu(sample, uuid).unknown["reserved_bytes"]
    assert sample.state == ("degraded" if code == UNKNOWN else "ok")


def test_a_list_filtered_in_silence_is_not_taken_for_an_empty_gpu(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)], filtered=True))
    sample = nvml_source.sample()
    assert homes(sample) == {10: mig_uuid(0, 7), 11: mig_uuid(0, 8)}
    assert snapshot(sample).unattributed_bytes == 0


def test_a_list_that_names_one_instance_says_nothing_of_the_others(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)], [], filtered=2))
    sample = nvml_source.sample()
    assert homes(sample) == {10: mig_uuid(0, 7), 11: mig_uuid(0, 8)}
    assert not any("unattributed_bytes" in row.unknown for row in snapshot(sample).gpus)


def test_an_instance_that_the_list_does_not_name_and_that_refuses_its_own_is_marked(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)], filtered=2))
    fake_driver.fail(LISTS, NO_PERMISSION, device=mig_uuid(0, 8))
    sample = nvml_source.sample()
    assert homes(sample) == {10: mig_uuid(0, 7)}
    assert "unattributed_bytes" not in gpu(sample, mig_uuid(0, 7)).unknown
    for uuid in (gpu_uuid(0), mig_uuid(0, 8)):
        assert "NO_PERMISSION" in gpu(sample, uuid).unknown["unattributed_bytes"]


@pytest.mark.parametrize("call", ["nvmlDeviceGetUUID", "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId"])
@pytest.mark.parametrize("code", [NO_PERMISSION, NOT_SUPPORTED, UNKNOWN])
def test_an_instance_that_does_not_say_who_it_is_costs_itself(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, call: str, code: int
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)], [Process(pid=12)]))
    fake_driver.fail(call, code, device=mig_uuid(0, 8))
    for _ in range(3):
        sample = nvml_source.sample()
        assert [one.uuid for one in sample.devices] == [gpu_uuid(0), mig_uuid(0, 7), mig_uuid(0, 9)]
        # the whole GPU's list tells of the third, which stays with the GPU
        assert homes(sample) == {10: mig_uuid(0, 7), 11: gpu_uuid(0), 12: mig_uuid(0, 9)}
        assert "MIG instance in slot 1" in gpu(sample, gpu_uuid(0)).unknown["unattributed_bytes"]
        nvml_clock.advance(1)
    assert sample.state == ("degraded" if code == UNKNOWN else "ok")


@pytest.mark.parametrize("code", [*range(1, 6), *range(7, 30), UNKNOWN])
def test_slots_that_are_refused_cost_the_others_nothing(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, code: int
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)]))
    fake_driver.fail("nvmlDeviceGetMigDeviceHandleByIndex", code, device=gpu_uuid(0), times=1)
    sample = nvml_source.sample()
    assert [one.uuid for one in sample.devices] == [gpu_uuid(0), mig_uuid(0, 8)]
    assert "MIG instance in slot 0" in gpu(sample, gpu_uuid(0)).unknown["unattributed_bytes"]
    nvml_clock.advance(2)
    sample = nvml_source.sample()
    assert [one.uuid for one in sample.devices] == [gpu_uuid(0), mig_uuid(0, 7), mig_uuid(0, 8)]
    assert not any("unattributed_bytes" in row.unknown for row in snapshot(sample).gpus)


def test_a_known_instance_that_does_not_answer_for_a_while_is_kept(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)]))
    nvml_source.sample()
    fake_driver.fail("nvmlDeviceGetMigDeviceHandleByIndex", UNKNOWN, device=gpu_uuid(0), times=1)
    nvml_clock.advance(2)
    sample = nvml_source.sample()
    assert {one.uuid for one in sample.devices} == {gpu_uuid(0), mig_uuid(0, 7), mig_uuid(0, 8)}
    assert homes(sample) == {10: mig_uuid(0, 7), 11: mig_uuid(0, 8)}


@pytest.mark.parametrize("code", [NO_PERMISSION, NOT_SUPPORTED])
def test_an_instance_that_refuses_its_memory_leaves_the_others_theirs(
    fake_driver: FakeDriver, nvml_source: NvmlSource, code: int
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)]))
    fake_driver.fail("nvmlDeviceGetMemoryInfo*", code, device=mig_uuid(0, 8))
    sample = nvml_source.sample()
    answer = snapshot(sample)
    assert answer.total_bytes == gpu(sample, gpu_uuid(0)).total_bytes > 0
    assert gpu(sample, mig_uuid(0, 7)).total_bytes > 0
    refused = gpu(sample, mig_uuid(0, 8))
    assert (refused.total_bytes, refused.unattributed_bytes) == (0, 0)
    assert f"({code})" in refused.unknown["total_bytes"]
    assert "total_bytes" not in answer.unknown
    assert homes(sample) == {10: mig_uuid(0, 7), 11: mig_uuid(0, 8)}
    assert sample.state == "ok"


@pytest.mark.parametrize("code", [*range(1, 30), UNKNOWN])
def test_an_instance_that_refuses_its_memory_costs_itself_whatever_the_code(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, code: int
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10)], [Process(pid=11)]))
    fake_driver.fail("nvmlDeviceGetMemoryInfo*", code, device=mig_uuid(0, 8))
    for _ in range(6):
        sample = nvml_source.sample()
        assert gpu(sample, gpu_uuid(0)).total_bytes > 0
        assert gpu(sample, mig_uuid(0, 7)).total_bytes > 0
        assert homes(sample)[10] == mig_uuid(0, 7)
        assert "total_bytes" in gpu(sample, mig_uuid(0, 8)).unknown
        nvml_clock.advance(1)


def test_an_idle_partitioned_gpu_has_no_marks(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.set_gpus(partitioned([], []))
    sample = nvml_source.sample()
    assert sample.processes == ()
    assert not any("unattributed_bytes" in row.unknown for row in snapshot(sample).gpus)


# ---- what a GPU never offers ----


def test_the_case_of_lists_that_are_not_offered(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    feed_case(fake_driver, "healthz-503-lists-not-offered")
    sample = nvml_source.sample()
    assert (sample.state, sample.reason) == ("ok", None)
    assert "NOT_SUPPORTED" in snapshot(sample).unknown["processes"]
    fake_driver.reset_calls()
    for _ in range(5):
        nvml_clock.advance(1)
        assert nvml_source.sample().state == "ok"
    assert fake_driver.calls(LISTS) == 0


@pytest.mark.parametrize("pattern", [LISTS, "nvmlDeviceGetMemoryInfo*", "nvmlDeviceGetUtilizationRates"])
def test_healthz_is_200_where_a_gpu_does_not_offer_something(
    fake_driver: FakeDriver, tmp_path: Path, pattern: str
) -> None:
    fake_driver.populate(1)
    fake_driver.fail(pattern, NOT_SUPPORTED)
    with RunningServer(tmp_path, "--interval", "100ms", "--no-record") as server:
        until(lambda: _health(server.url) == 200, lambda: server.log)


# ---- memory ----


def test_the_case_of_processes_on_a_gpu_without_memory_of_its_own(
    fake_driver: FakeDriver, nvml_source: NvmlSource, sleepers: tuple[int, int]
) -> None:
    feed_case(fake_driver, "nvml-unattributed-negative", *sleepers)
    sample = nvml_source.sample()
    answer = snapshot(sample)
    for row in (answer, *answer.gpus):
        assert row.unattributed_bytes == 0
        assert "unattributed_bytes" in row.unknown
    assert answer.processes[0].used_bytes == 95563022336
    assert sample.state == "ok"


def test_a_partitioned_gpu_that_denies_its_own_memory_has_nothing_unattributed(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.set_gpus(partitioned([Process(pid=10, used_bytes=5 * GIB)]))
    fake_driver.fail("nvmlDeviceGetMemoryInfo*", NO_PERMISSION, device=gpu_uuid(0))
    row = gpu(nvml_source.sample(), gpu_uuid(0))
    assert row.unattributed_bytes == 0
    assert "NO_PERMISSION" in row.unknown["unattributed_bytes"]


@pytest.mark.fault(62)
def test_row_62_memory_of_0_with_success_costs_the_memory_alone(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    nothing = Memory(total_bytes=0, reserved_bytes=0, used_bytes=0)
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), memory=nothing, processes=[Process(pid=5)])])
    for _ in range(10):
        sample = nvml_source.sample()
        found = device(sample, gpu_uuid(0))
        assert (found.state, found.memory, found.temperature_celsius) == ("ok", None, 30)
        assert "0 bytes" in found.unknown["memory"]
        assert used(sample) == {5: GIB}
        assert sample.state == "ok"
        nvml_clock.advance(1)


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    "figures", [Memory(total_bytes=0, reserved_bytes=0, used_bytes=0), Memory(used_bytes=81 * GIB, free_bytes=0)]
)
def test_row_62_memory_that_cannot_be_leaves_the_gauges_and_the_processes(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock, figures: Memory
) -> None:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=5)])])
    nvml_source.sample()
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), memory=figures, processes=[Process(pid=5)])])
    for _ in range(10):
        nvml_clock.advance(1)
        sample = nvml_source.sample()
    found = device(sample, gpu_uuid(0))
    assert (found.state, found.memory, found.temperature_celsius) == ("failed", None, 30)
    assert used(sample) == {5: GIB}
    assert sample.state == "degraded"


# ---- machines that share memory ----

MEMINFO = "MemTotal:       125829120 kB\nMemFree:         1048576 kB\nMemAvailable:   41943040 kB\nBuffers: 1 kB\n"


@pytest.fixture
def unified(
    fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock, tmp_path: Path
) -> Iterator[NvmlSource]:
    """A machine of 120 GiB, 40 of them available."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    source = NvmlSource(library=fake_nvml_library, clock=nvml_clock, stopwatch=nvml_clock, procfs=tmp_path)
    yield source
    source.close()


@pytest.mark.parametrize("name", ["NVIDIA GB10", "NVIDIA Thor", "Orin (nvgpu)", "NVIDIA Tegra X2"])
@pytest.mark.parametrize("says", ["not supported", "0 bytes"])
def test_a_gpu_without_memory_of_its_own_has_the_machines(
    fake_driver: FakeDriver, unified: NvmlSource, name: str, says: str
) -> None:
    figures = Memory() if says == "not supported" else Memory(total_bytes=0, reserved_bytes=0, used_bytes=0)
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), name=name, memory=figures, processes=[Process(pid=5, used_bytes=90)])])
    if says == "not supported":
        fake_driver.fail("nvmlDeviceGetMemoryInfo*", NOT_SUPPORTED)
    sample = unified.sample()
    answer = snapshot(sample)
    assert (answer.total_bytes, answer.used_bytes, answer.free_bytes) == (120 * GIB, 80 * GIB, 40 * GIB)
    assert answer.gpus[0].memory_source == "system"
    assert answer.gpus[0].used_percent == 66.67
    assert "driver_reserved_bytes" in answer.gpus[0].unknown
    for row in (answer, answer.gpus[0]):
        assert row.unattributed_bytes == 80 * GIB - 90
        assert "use no GPU" in row.unknown["unattributed_bytes"]
    assert sample.state == "ok"


@pytest.mark.parametrize("name", ["NVIDIA GB10", "Orin (nvgpu)"])
def test_a_driver_that_tells_the_machines_memory_as_the_gpus_is_understood(
    fake_driver: FakeDriver, unified: NvmlSource, name: str
) -> None:
    """What it calls used counts the kernel's caches."""
    figures = Memory(total_bytes=118 * GIB, reserved_bytes=0, used_bytes=117 * GIB)
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), name=name, memory=figures)])
    answer = snapshot(unified.sample())
    assert (answer.total_bytes, answer.used_bytes, answer.free_bytes) == (120 * GIB, 80 * GIB, 40 * GIB)
    assert answer.gpus[0].memory_source == "system"


def test_a_card_of_that_size_keeps_its_own_memory(fake_driver: FakeDriver, unified: NvmlSource) -> None:
    figures = Memory(total_bytes=120 * GIB, reserved_bytes=0, used_bytes=GIB)
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), memory=figures)])
    answer = snapshot(unified.sample())
    assert (answer.used_bytes, answer.gpus[0].memory_source) == (GIB, "nvml_v2")


def test_a_program_may_hold_more_than_what_is_said_to_be_used(fake_driver: FakeDriver, unified: NvmlSource) -> None:
    rows = [Process(pid=5, used_bytes=130 * GIB)]
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), name="NVIDIA GB10", processes=rows)])
    fake_driver.fail("nvmlDeviceGetMemoryInfo*", NOT_SUPPORTED)
    unified.sample()
    sample = unified.sample()
    assert used(sample) == {5: 130 * GIB}
    assert snapshot(sample).unattributed_bytes == 0


def test_a_card_that_does_not_tell_its_memory_has_not_the_machines(
    fake_driver: FakeDriver, unified: NvmlSource
) -> None:
    fake_driver.populate(1)
    fake_driver.fail("nvmlDeviceGetMemoryInfo*", NOT_SUPPORTED)
    assert device(unified.sample(), gpu_uuid(0)).memory is None


def test_coherent_gpus_say_how_they_share_memory(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    coherent = Gpu(uuid=gpu_uuid(0), name="NVIDIA GH200 480GB", addressing_mode=2, numa_node=1)
    fake_driver.set_gpus([coherent, Gpu(uuid=gpu_uuid(1), addressing_mode=1), Gpu(uuid=gpu_uuid(2))])
    rows = snapshot(nvml_source.sample()).gpus
    assert [(row.addressing_mode, row.numa_node) for row in rows] == [("ats", 1), ("hmm", None), (None, None)]
    assert {row.memory_source for row in rows} == {"nvml_v2"}


# ---- limits that are not the GPU's size ----


def test_the_limit_of_a_cgroup_stands_in_the_row_of_its_process(
    fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock, tmp_path: Path
) -> None:
    folder = tmp_path / "proc/77"
    (folder / "task/77").mkdir(parents=True)
    (folder / "task/77/stat").write_text(f"77 (python) S {' '.join(['0'] * 18)} 4200 0")
    (folder / "cgroup").write_text("0::/pod/box\n")
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").symlink_to(HOST_PID_NAMESPACE)
    directory = tmp_path / "sys/fs/cgroup/pod"
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=77), Process(pid=78)])])
    fake_driver.machine.limits = [
        Limit(uuid=gpu_uuid(0), path=str(directory), hard_bytes=8 * GIB, soft_bytes=GIB, used_bytes=3 * GIB)
    ]
    fake_driver.write()
    source = NvmlSource(
        library=fake_nvml_library,
        clock=nvml_clock,
        stopwatch=nvml_clock,
        procfs=tmp_path / "proc",
        sysfs=tmp_path / "sys",
    )
    sample = source.sample()
    source.close()
    limited, free = snapshot(sample).processes
    assert limited.limit is not None
    assert (limited.limit.kind, limited.limit.limit_bytes, limited.limit.used_bytes) == ("nvml", 8 * GIB, 3 * GIB)
    assert limited.limit.cgroup == str(directory)
    assert free.limit is None


def test_a_driver_that_keeps_no_limits_is_asked_once(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=os.getpid())])])
    for _ in range(5):
        assert nvml_source.sample().processes[0].limit is None
        nvml_clock.advance(1)
    assert fake_driver.calls("nvmlDeviceGetMemoryLimits_v1") <= 1
