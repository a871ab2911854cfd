"""Looking into samples of the NVML source."""

from collections.abc import Callable

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, DeviceProcess, Memory
from blackbox.model.sample import Sample
from blackbox.model.snapshot import Gpu, Snapshot
from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver
from tests.genuine import case

TICK_SECONDS = 0.5


def device(sample: Sample, uuid: str) -> Device:
    """The one device of that UUID."""
    (found,) = (device for device in sample.devices if device.uuid == uuid)
    return found


def memory(sample: Sample, uuid: str) -> Memory:
    """The memory of a device that has one."""
    found = device(sample, uuid).memory
    assert found is not None
    return found


def process(sample: Sample, pid: int) -> DeviceProcess:
    """The one row of that pid."""
    (found,) = (process for process in sample.processes if process.pid == pid)
    return found


def sample_until(
    source: NvmlSource, clock: ManualClock, seconds: float, is_there: Callable[[Sample], bool]
) -> list[Sample]:
    """The samples of `seconds` of the source's time, up to the first that `is_there` accepts; fails without one."""
    samples: list[Sample] = []
    end = clock.now + seconds
    while clock.now <= end:
        samples.append(source.sample())
        if is_there(samples[-1]):
            return samples
        clock.advance(TICK_SECONDS)
    raise AssertionError(f"not seen within {seconds} s; last: {samples[-1]}")


def feed_case(fake_driver: FakeDriver, name: str, *pids: int) -> None:
    """Has the fake driver answer as a case says, with `pids` in the places it leaves for them; skips where it is
    missing."""
    state = case(f"{name}/machine.state").read_text()
    for number, pid in enumerate(pids, start=1):
        state = state.replace(f"PID{number}", str(pid))
    fake_driver.feed(state)


def snapshot(sample: Sample) -> Snapshot:
    """What the server answers when this sample is all there is."""
    moment = Moment(seq=1, timestamp=0.0, taken_at=sample.taken_at, host="testhost", samples=(sample,), sources=())
    return merge(moment)


def gpu(sample: Sample, uuid: str) -> Gpu:
    """The row of a GPU or instance in the answer."""
    (found,) = (row for row in snapshot(sample).gpus if row.uuid == uuid)
    return found
