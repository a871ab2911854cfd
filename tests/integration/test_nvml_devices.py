"""Which devices there are, through loss, return, reordering and MIG changes."""

import random

import pytest

from blackbox.model.sample import Sample
from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import GIB, FakeDriver, Gpu, Memory, Mig, Process, gpu_uuid, mig_uuid
from tests.nvml_samples import TICK_SECONDS, device, memory, process, sample_until

NO_PERMISSION, GPU_IS_LOST = 4, 15
RECOVERY_SECONDS_MAX = 5


def kinds(sample: Sample) -> list[str]:
    return [event.kind for event in sample.events]


@pytest.mark.fault(4)
def test_row_04_lost_gpu_is_flagged_and_others_go_on(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.populate(4, 2)
    assert nvml_source.sample().state == "ok"
    loss = fake_driver.lose(gpu_uuid(2))
    seen: list[str] = []
    for tick in range(8):
        nvml_clock.advance(TICK_SECONDS)
        sample = nvml_source.sample()
        seen += kinds(sample)
        lost = device(sample, gpu_uuid(2))
        assert (lost.state, lost.memory, tick) == ("lost", None, tick)
        assert "GPU_IS_LOST" in (lost.reason or "")
        assert sample.state == "degraded"
        assert {row.gpu_uuid for row in sample.processes} == {gpu_uuid(0), gpu_uuid(1), gpu_uuid(3)}
        for number in (0, 1, 3):
            other = device(sample, gpu_uuid(number))
            assert (other.state, other.taken_at) == ("ok", nvml_clock.now)
    assert seen == ["gpu_lost"]
    fake_driver.heal(loss)
    samples = sample_until(
        nvml_source, nvml_clock, RECOVERY_SECONDS_MAX, lambda sample: device(sample, gpu_uuid(2)).state == "ok"
    )
    assert [kind for sample in samples for kind in kinds(sample)] == ["gpu_back"]
    nvml_clock.advance(1)
    assert len(nvml_source.sample().processes) == 8


def test_a_lost_gpu_is_asked_rarely(fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock) -> None:
    fake_driver.populate(1)
    fake_driver.fail("nvmlDeviceGetMemoryInfo*", GPU_IS_LOST)
    nvml_source.sample()
    fake_driver.reset_calls()
    for _ in range(20):
        nvml_clock.advance(TICK_SECONDS)
        nvml_source.sample()
    assert 0 < fake_driver.calls("nvmlDeviceGetMemoryInfo*") <= 6


def test_a_gpu_that_never_told_its_uuid_is_shown_as_a_stranger(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.populate(2)
    fake_driver.fail("nvmlDeviceGetHandleByIndex_v2", NO_PERMISSION, device=gpu_uuid(1))
    sample = nvml_source.sample()
    assert device(sample, gpu_uuid(0)).state == "ok"
    stranger = device(sample, "unknown-1")
    assert (stranger.state, stranger.memory, stranger.index) == ("no_access", None, 1)
    assert set(stranger.unknown) >= {"uuid", "name", "memory"}
    assert sample.state == "ok"


def test_gauges_and_how_often_they_are_read(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    gauged = Gpu(uuid=gpu_uuid(0), utilization_percent=55, temperature_celsius=66, power_milliwatts=77_500)
    fake_driver.set_gpus([gauged])
    for _ in range(20):  # ten seconds
        found = device(nvml_source.sample(), gpu_uuid(0))
        assert (found.utilization_percent, found.temperature_celsius, found.power_watts) == (55, 66, 77.5)
        nvml_clock.advance(TICK_SECONDS)
    calls = (fake_driver.calls(f"nvmlDeviceGet{gauge}*") for gauge in ("UtilizationRates", "Temperature", "PowerUsage"))
    assert tuple(calls) == (20, 10, 10)


@pytest.mark.parametrize(
    ("gpu", "key"),
    [
        (Gpu(uuid=gpu_uuid(0), utilization_percent=101), "utilization_percent"),
        (Gpu(uuid=gpu_uuid(0), temperature_celsius=2000), "temperature_celsius"),
        (Gpu(uuid=gpu_uuid(0), power_milliwatts=2**32 - 1), "power_watts"),
    ],
)
def test_impossible_gauges_are_unknown(fake_driver: FakeDriver, nvml_source: NvmlSource, gpu: Gpu, key: str) -> None:
    fake_driver.set_gpus([gpu])
    found = device(nvml_source.sample(), gpu_uuid(0))
    assert getattr(found, key) is None
    assert "impossible" in found.unknown[key]
    assert found.state == "ok"


def machine(numbers: list[int]) -> list[Gpu]:
    """GPUs that can be told by their memory and their process."""
    return [
        Gpu(
            uuid=gpu_uuid(number),
            memory=Memory(used_bytes=(number + 1) * GIB),
            processes=[Process(pid=1000 + number, used_bytes=(number + 1) * GIB)],
        )
        for number in numbers
    ]


@pytest.mark.fault(16)
def test_row_16_unplugged_and_reordered_gpus_keep_their_uuids(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    numbers = list(range(8))
    shuffle = random.Random(16).shuffle
    fake_driver.set_gpus(machine(numbers))
    nvml_source.sample()
    for step in range(10):
        shuffle(numbers)
        present = numbers[: 7 if step % 2 else 8]
        fake_driver.set_gpus(machine(present))
        for _ in range(6):  # three seconds
            nvml_clock.advance(TICK_SECONDS)
            sample = nvml_source.sample()
            assert {found.uuid for found in sample.devices} == {gpu_uuid(number) for number in numbers}
            for number in numbers:
                found = device(sample, gpu_uuid(number))
                assert found.memory is None or found.memory.used_bytes == (number + 1) * GIB
            for row in sample.processes:
                assert row.gpu_uuid == gpu_uuid(row.pid - 1000)
        for number in numbers:
            found = device(sample, gpu_uuid(number))
            assert found.state == ("ok" if number in present else "lost")
            assert number not in present or found.index == present.index(number)


def slices(*numbers: int, gigabytes: int = 10) -> list[Mig]:
    return [
        Mig(
            uuid=mig_uuid(0, number),
            gpu_instance_id=number,
            compute_instance_id=0,
            profile=f"1g.{gigabytes}gb",
            memory=Memory(total_bytes=gigabytes * GIB, reserved_bytes=0),
            processes=[Process(pid=2000 + number, used_bytes=GIB)],
        )
        for number in numbers
    ]


def mig_machine(*numbers: int, gigabytes: int = 10) -> list[Gpu]:
    partitioned = Gpu(uuid=gpu_uuid(0), mig_mode="on", instances=slices(*numbers, gigabytes=gigabytes))
    return [partitioned, Gpu(uuid=gpu_uuid(1), processes=[Process(pid=3000)])]


def test_mig_instances_are_children_and_own_their_processes(fake_driver: FakeDriver, nvml_source: NvmlSource) -> None:
    fake_driver.set_gpus(mig_machine(7, 9, 11))
    sample = nvml_source.sample()
    order = [found.uuid for found in sample.devices]
    assert order == [gpu_uuid(0), *(mig_uuid(0, number) for number in (7, 9, 11)), gpu_uuid(1)]
    child = device(sample, mig_uuid(0, 9))
    assert (child.parent_uuid, child.index, child.state) == (gpu_uuid(0), 0, "ok")
    assert child.mig is not None
    assert (child.mig.gpu_instance_id, child.mig.compute_instance_id, child.mig.profile) == (9, 0, "1g.10gb")
    assert memory(sample, mig_uuid(0, 9)).used_bytes == GIB
    assert "temperature_celsius" in child.unknown
    for number in (7, 9, 11):
        assert process(sample, 2000 + number).gpu_uuid == mig_uuid(0, number)
    assert process(sample, 3000).gpu_uuid == gpu_uuid(1)


def test_mig_processes_without_the_privilege_for_the_whole_gpu(
    fake_driver: FakeDriver, nvml_source: NvmlSource
) -> None:
    fake_driver.set_gpus(mig_machine(7, 9))
    fake_driver.fail("nvmlDeviceGet*RunningProcesses*", NO_PERMISSION, device=gpu_uuid(0))
    sample = nvml_source.sample()
    rows = {row.pid: row.gpu_uuid for row in sample.processes}
    assert rows == {2007: mig_uuid(0, 7), 2009: mig_uuid(0, 9), 3000: gpu_uuid(1)}
    assert sample.state == "ok"


@pytest.mark.fault(15)
def test_row_15_mig_reconfigured_leaves_no_ghosts(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    layouts: list[tuple[int, ...]] = [(7, 8, 9), (), (1, 2), (2, 1, 5), (13,)]
    fake_driver.set_gpus(mig_machine())
    nvml_source.sample()
    for layout in layouts * 3:
        fake_driver.set_gpus(mig_machine(*layout))
        expected = {gpu_uuid(0), gpu_uuid(1), *(mig_uuid(0, number) for number in layout)}
        samples = sample_until(
            nvml_source,
            nvml_clock,
            2,
            lambda sample, expected=expected: {found.uuid for found in sample.devices} == expected,
        )
        nvml_clock.advance(TICK_SECONDS)
        settled = sample_until(
            nvml_source,
            nvml_clock,
            2,
            lambda sample, layout=layout: (
                {row.pid for row in sample.processes} == {3000, *(2000 + number for number in layout)}
            ),
        )[-1]
        assert all(found.state == "ok" for found in settled.devices)
        assert not [kind for sample in (*samples, settled) for kind in kinds(sample)]


def test_mig_switched_off_gives_the_gpu_back_whole(
    fake_driver: FakeDriver, nvml_source: NvmlSource, nvml_clock: ManualClock
) -> None:
    fake_driver.set_gpus(mig_machine(7))
    nvml_source.sample()
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), mig_mode="off", processes=[Process(pid=4000)])])
    nvml_clock.advance(1)
    sample = nvml_source.sample()
    assert process(sample, 4000).gpu_uuid == gpu_uuid(0)
    assert not [found for found in sample.devices if found.mig]
