"""Windows of hardware counters on a fake driver, with bindings of our own making: who is given what they counted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from blackbox.model.parts import KernelCounters
from blackbox.model.sample import Sample
from blackbox.sources.pm_sampling.collector import INSTALL
from blackbox.sources.pm_sampling.source import (
    EVERY_SECONDS,
    NOT_IN_CUDA,
    WINDOW_CALLS,
    WINDOW_SECONDS,
    PmSamplingSource,
)
from blackbox.sources.proc.processes import HOST_PID_NAMESPACE
from tests.clocks import ManualClock
from tests.fake_frameworks import FOLDER, GPU, build_cuda
from tests.fake_nvml import FakeDriver, Gpu, Mig, Process, mig_uuid
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until_value

PID, OTHER = 4711, 4712
SECOND_GPU = "GPU-11111111-1111-1111-1111-111111111111"
"""As `cuda.c` names it."""
ASK = "from blackbox.sources.pm_sampling.cuda import ordinals; print(ordinals())"
DRAM = ("dram__bytes_read.sum", "dram__bytes_write.sum")
DRAM_OF_GB20X = ("dram__bytes_op_read.sum", "dram__bytes_op_write.sum")
WARPS = "sm__warps_active.avg.pct_of_peak_sustained_active"
BLOCKS = "sm__ctas_active.sum.per_cycle_active"


def counted(dram: tuple[str, str] = DRAM) -> list[Any]:
    """A millisecond."""
    values = {
        dram[0]: 3_000_000,
        dram[1]: 1_000_000,
        "sm__cycles_active.avg": 1e6,
        WARPS: 62.5,
        BLOCKS: 1056,
        "lts__t_requests_op_atom.sum": 7,
        "lts__t_requests_op_red.sum": 3,
    }
    return [1_000_000, values]


class Window:
    """What the bindings do in the next windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
        self._monkeypatch = monkeypatch
        self._log = log
        self.set()

    def set(self, **changes: Any) -> None:
        script = {"samples": [counted()] * 200, "log": str(self._log), **changes}
        self._monkeypatch.setenv("FAKE_PM_SAMPLING", json.dumps(script))

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Window]:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield Window(monkeypatch, tmp_path / "calls")
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupti"]:
        del sys.modules[name]


@pytest.fixture
def procfs(tmp_path: Path) -> Path:
    namespace = tmp_path / "proc" / "self" / "ns" / "pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to(HOST_PID_NAMESPACE)
    return tmp_path / "proc"


class Machine:
    """A source, its clock, and what happens while a window is open."""

    def __init__(self, driver: FakeDriver, procfs: Path) -> None:
        self.clock = ManualClock()
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.driver = driver
        self.source = PmSamplingSource(
            procfs=procfs, clock=self.clock, sleep=self._sleep, find_ordinals=lambda: {GPU: 0, SECOND_GPU: 1}
        )

    def occupy(self, *of_gpus: tuple[int, ...]) -> None:
        """Processes on the first GPU, and on the second."""
        uuids = (GPU, SECOND_GPU, "GPU-22222222-2222-2222-2222-222222222222")
        self.driver.set_gpus(
            [
                Gpu(uuid=uuid, processes=[Process(pid=pid) for pid in pids])
                for uuid, pids in zip(uuids, of_gpus, strict=False)
            ]
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.meanwhile()


@pytest.fixture
def machine(fake_driver: FakeDriver, window: Window, procfs: Path) -> Iterator[Machine]:
    machine = Machine(fake_driver, procfs)
    machine.occupy((PID,))
    yield machine
    machine.source.close()


def row(sample: Sample, pid: int = PID) -> KernelCounters:
    (found,) = (one for one in sample.kernels if one.pid == pid)
    return found


def reason(counters: KernelCounters) -> str:
    (told,) = {counters.unknown[name] for name in ("occupancy", "dram_read_bytes", "atomic_operations")}
    assert counters.dram_read_bytes is None
    return told


def test_a_process_that_is_alone_is_given_what_its_gpu_counted(machine: Machine, window: Window) -> None:
    sample = machine.source.sample()
    assert (sample.state, sample.facts) == ("ok", {"pm_sampling": "on"})
    counters = row(sample)
    assert (counters.dram_read_bytes, counters.dram_write_bytes) == (600_000_000, 200_000_000)
    assert counters.memory_throughput == 4_000_000_000
    assert (counters.occupancy, counters.active_blocks, counters.atomic_operations) == (62.5, 1056, 2000)
    assert machine.slept == [WINDOW_SECONDS]
    calls = "enable", "configure GPU_TIME_INTERVAL", "start", "stop", "decode", "disable"
    assert window.calls == [f"0 {call}" for call in calls]


def test_between_windows_no_counter_is_claimed(machine: Machine, window: Window) -> None:
    first = machine.source.sample()
    machine.clock.advance(EVERY_SECONDS - 1)
    assert machine.source.sample().kernels == first.kernels
    assert len(window.calls) == 6
    machine.clock.advance(1)
    assert machine.source.sample().cost["windows_total"] == 2


def test_a_gpu_that_is_shared_or_empty_is_left_alone(machine: Machine, window: Window) -> None:
    machine.occupy((PID, OTHER), ())
    machine.source.sample()
    sample = machine.source.sample()
    assert window.calls == []
    assert reason(row(sample)) == "GPU 0 runs 2 processes, and PM sampling counts the whole GPU"
    assert {counters.pid for counters in sample.kernels} == {PID, OTHER}


def test_who_comes_during_a_window_spoils_it(machine: Machine) -> None:
    machine.meanwhile = lambda: machine.occupy((PID, OTHER))
    assert "others came to GPU 0" in reason(row(machine.source.sample()))


def test_a_process_on_two_gpus_has_no_figures_of_one(machine: Machine) -> None:
    machine.occupy((PID,), (PID,))
    assert row(machine.source.sample()).occupancy == 62.5
    assert "it is on 2 GPUs" in reason(row(machine.source.sample()))


def test_gpus_are_looked_at_in_turns(machine: Machine) -> None:
    machine.occupy((PID,), (OTHER,))
    assert [one.pid for one in machine.source.sample().kernels] == [PID]
    assert [one.pid for one in machine.source.sample().kernels] == [PID, OTHER]
    assert len(machine.slept) == 2
    machine.source.sample()
    assert len(machine.slept) == 2
    machine.occupy((PID,))
    machine.clock.advance(EVERY_SECONDS)
    assert [one.pid for one in machine.source.sample().kernels] == [PID]


def test_our_own_process_is_nobody(machine: Machine) -> None:
    machine.occupy((PID, os.getpid()))
    assert row(machine.source.sample()).occupancy == 62.5


def test_a_partitioned_gpu_is_left_alone(machine: Machine, window: Window) -> None:
    instance = Mig(uuid=mig_uuid(0, 0), gpu_instance_id=1, processes=[Process(pid=PID)])
    machine.driver.set_gpus([Gpu(uuid=GPU, mig_mode="on", instances=[instance])])
    assert "MIG" in reason(row(machine.source.sample()))
    assert window.calls == []


def test_in_a_container_nobody_is_known_to_be_alone(machine: Machine, procfs: Path, window: Window) -> None:
    (procfs / "self/ns/pid").unlink()
    (procfs / "self/ns/pid").symlink_to("pid:[4026532000]")
    contained = Machine(machine.driver, procfs)
    assert "outside this container" in reason(row(contained.source.sample()))
    contained.source.close()


@pytest.mark.parametrize("method", ["enable", "configure", "start", "stop", "decode"])
def test_what_the_bindings_raise_is_a_reason_and_the_counters_are_given_back(
    machine: Machine, window: Window, method: str
) -> None:
    window.set(error=[method, "RuntimeError", "PM sampling is already enabled on this device."])
    sample = machine.source.sample()
    assert (sample.state, sample.reason) == ("failed", "GPU 0: PM sampling is already enabled on this device.")
    assert reason(row(sample)) == "PM sampling is already enabled on this device."
    assert (window.calls[-1] == "0 disable") == (method != "enable")
    window.set()
    machine.clock.advance(EVERY_SECONDS)
    assert machine.source.sample().state == "ok"


@pytest.mark.parametrize("call", WINDOW_CALLS)
def test_a_window_that_did_harm_is_left_out_on_that_gpu_alone(machine: Machine, window: Window, call: str) -> None:
    machine.occupy((PID,), (OTHER,))
    machine.source.quarantine = {(call, 0): f"{call} on GPU 0 did not return within 10 s"}
    machine.source.sample()
    sample = machine.source.sample()
    assert reason(row(sample)) == f"{call} on GPU 0 did not return within 10 s"
    assert row(sample, OTHER).occupancy == 62.5
    assert {line.partition(" ")[0] for line in window.calls} == {"1"}
    machine.source.quarantine = {}
    machine.clock.advance(EVERY_SECONDS)
    assert row(machine.source.sample()).occupancy == 62.5


def test_without_privileges_the_remedy_is_told(machine: Machine, window: Window) -> None:
    window.set(error=["enable", "PermissionError", "Insufficient privileges"])
    sample = machine.source.sample()
    assert sample.state == "no_access"
    assert "CAP_PERFMON" in str(sample.reason)


def test_a_buffer_that_runs_over_is_no_figure(machine: Machine, window: Window) -> None:
    window.set(error=["decode", "MemoryError", ""])
    assert reason(row(machine.source.sample())) == "more was counted than the buffer holds"


def test_gpus_of_the_rtx_50_series_name_their_memory_otherwise(machine: Machine, window: Window) -> None:
    window.set(samples=[counted(DRAM_OF_GB20X)] * 2)
    assert row(machine.source.sample()).dram_read_bytes == 6_000_000


def test_a_chip_that_does_not_count_its_memory_is_asked_for_the_rest(machine: Machine, window: Window) -> None:
    nanoseconds, values = counted()
    window.set(samples=[[nanoseconds, {name: value for name, value in values.items() if "dram" not in name}]] * 2)
    sample = machine.source.sample()
    found = row(sample)
    assert (found.dram_read_bytes, found.memory_throughput) == (None, None)
    assert (found.occupancy, found.atomic_operations) == (62.5, 20)
    assert "no counters of its memory" in found.unknown["dram_read_bytes"]
    assert sample.state == "ok"


def test_a_chip_that_counts_nothing_of_it_is_no_fault(machine: Machine, window: Window) -> None:
    window.set(error=["configure", "ValueError", "Invalid metrics"])
    sample = machine.source.sample()
    assert sample.state == "ok"
    assert "does not count what is wanted" in reason(row(sample))


def test_gpus_without_a_clock_for_it_count_cycles(machine: Machine, window: Window) -> None:
    window.set(old=True)
    assert row(machine.source.sample()).dram_read_bytes == 600_000_000
    assert "0 configure GPU_SYSCLK_INTERVAL" in window.calls


def test_a_gpu_that_cuda_does_not_know_has_a_reason(machine: Machine) -> None:
    machine.occupy((), (), (PID,))
    machine.source.sample()
    machine.source.sample()
    assert reason(row(machine.source.sample())) == NOT_IN_CUDA


def test_without_the_bindings_the_source_says_what_to_install(fake_driver: FakeDriver, procfs: Path) -> None:
    machine = Machine(fake_driver, procfs)
    machine.occupy((PID,))
    sample = machine.source.sample()
    assert (sample.state, sample.reason) == ("failed", f"GPU 0: {INSTALL}")
    machine.source.close()


def test_without_a_driver_it_says_so(machine: Machine) -> None:
    machine.driver.machine.gpus = []
    machine.driver.state_path.unlink()
    assert machine.source.sample().state == "no_driver"


def test_cuda_tells_its_numbers_of_gpus(tmp_path: Path) -> None:
    script = f"import ctypes; ctypes.CDLL({str(build_cuda(tmp_path))!r})\n{ASK}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert done.stdout.strip() == str({GPU: 0, SECOND_GPU: 1})


def test_our_bindings_have_the_names_of_nvidias() -> None:
    real = pytest.importorskip("cupti.pm_sampling", reason="cupti-python is not installed (proprietary)")
    assert {"GPU_TIME_INTERVAL", "GPU_SYSCLK_INTERVAL"} <= set(real.TriggerMode.__members__)
    collector = real.Collector(0)
    for method in ("enable", "configure", "start", "stop", "decode", "disable"):
        assert callable(getattr(collector, method))
    assert {"start_timestamp", "end_timestamp", "metric_values"} <= set(real.Sample.__dataclass_fields__)


def nsight_metrics(server: RunningServer) -> dict[str, Any]:
    return requests.get(f"{server.url}/vram", timeout=PATIENCE_SECONDS).json()["nsight_metrics"]


@pytest.mark.slow
def test_a_server_serves_them(
    fake_driver: FakeDriver, window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = f"{build_cuda(tmp_path).parent}:{os.environ['LD_LIBRARY_PATH']}"
    monkeypatch.setenv("LD_LIBRARY_PATH", libraries)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    pid = os.getpid()
    fake_driver.set_gpus([Gpu(uuid=GPU, processes=[Process(pid=pid)])])
    with RunningServer(tmp_path, "--pm-sampling", "--no-record") as server:
        entry = until_value(lambda: nsight_metrics(server)[str(pid)], lambda entry: entry["available"])
    assert (entry["scope"], entry["source"], entry["dram_read_bytes"]) == ("device", "pm_sampling", 600_000_000)
    assert entry["unknown"]["threads_per_block"] == "PM sampling does not count it"
