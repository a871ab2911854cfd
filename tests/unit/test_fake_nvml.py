"""The fake driver itself, through the real NVIDIA bindings."""

import ctypes
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pynvml
import pytest

from tests.fake_nvml import GIB, FakeDriver, Gpu, Memory, Mig, Process, build, gpu_uuid, library, mig_uuid
from tests.waiting import PATIENCE_SECONDS

NVML_GPU_IS_LOST = 15


@pytest.fixture
def nvml(fake_driver: FakeDriver):
    pynvml.nvmlInit()
    yield pynvml
    fake_driver.heal()
    pynvml.nvmlShutdown()


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def test_device_figures_reach_the_bindings(fake_driver, nvml):
    memory = Memory(total_bytes=24 * GIB, reserved_bytes=GIB // 2, used_bytes=3 * GIB)
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(7), name="NVIDIA L4", memory=memory, temperature_celsius=61)])
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    v1, v2 = nvml.nvmlDeviceGetMemoryInfo(handle), nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)
    assert (nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle)) == ("NVIDIA L4", gpu_uuid(7))
    assert v2.total == v2.used + v2.free + v2.reserved
    assert (v1.used, v1.free) == (v2.used + v2.reserved, v2.free)
    assert nvml.nvmlDeviceGetTemperature(handle, 0) == nvml.nvmlDeviceGetTemperatureV(handle, 0) == 61
    assert nvml.nvmlDeviceGetPciInfo(handle).busId == "00000000:01:00.0"


def test_lists_hold_each_kind_and_memory_not_available(fake_driver, nvml):
    rows = [Process(pid=10, used_bytes=None), Process(pid=11, kind="graphics"), Process(pid=12, kind="mps")]
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=rows)])
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    [compute] = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    [graphics] = nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
    [mps] = nvml.nvmlDeviceGetMPSComputeRunningProcesses(handle)
    assert (compute.pid, compute.usedGpuMemory) == (10, None)
    assert (graphics.pid, graphics.usedGpuMemory, mps.pid) == (11, GIB, 12)
    assert compute.gpuInstanceId == 0xFFFFFFFF


def test_handle_follows_its_uuid_through_reorder_and_unplug(fake_driver, nvml):
    first, second = fake_driver.populate(2)
    handle = nvml.nvmlDeviceGetHandleByUUID(second.uuid)
    fake_driver.set_gpus([second, first])
    assert nvml.nvmlDeviceGetIndex(handle) == 0
    fake_driver.set_gpus([first])
    with pytest.raises(nvml.NVMLError_GpuIsLost):
        nvml.nvmlDeviceGetMemoryInfo(handle)
    assert nvml.nvmlDeviceGetCount() == 1


def test_mig_instances_are_devices_with_holes_and_own_processes(fake_driver, nvml):
    slice_ = Mig(uuid=mig_uuid(0, 1), gpu_instance_id=9, slot=2, processes=[Process(pid=77)])
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), mig_mode="on", instances=[slice_])])
    parent = nvml.nvmlDeviceGetHandleByIndex(0)
    assert nvml.nvmlDeviceGetMigMode(parent) == [1, 1]
    with pytest.raises(nvml.NVMLError_NotFound):
        nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 0)
    mig = nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 2)
    assert nvml.nvmlDeviceGetUUID(mig) == slice_.uuid
    assert nvml.nvmlDeviceGetGpuInstanceId(mig) == 9
    assert nvml.nvmlDeviceGetMemoryInfo(mig).total == 10 * GIB
    rows = [nvml.nvmlDeviceGetComputeRunningProcesses(handle) for handle in (mig, parent)]
    assert [(row.pid, row.gpuInstanceId) for [row] in rows] == [(77, 9), (77, 9)]


def test_fault_strikes_one_device_and_the_numbered_calls_only(fake_driver, nvml):
    first, second = (nvml.nvmlDeviceGetHandleByUUID(gpu.uuid) for gpu in fake_driver.populate(2))
    fake_driver.fail("nvmlDeviceGetPowerUsage", NVML_GPU_IS_LOST, device=gpu_uuid(1), skip=1, times=1)
    codes = []
    for handle in (first, second, second, second):
        try:
            nvml.nvmlDeviceGetPowerUsage(handle)
            codes.append(0)
        except nvml.NVMLError as error:
            codes.append(error.value)
    assert codes == [0, 0, NVML_GPU_IS_LOST, 0]


def test_lost_gpu_refuses_its_handle(fake_driver, nvml):
    fake_driver.populate(2)
    fake_driver.lose(gpu_uuid(1))
    nvml.nvmlDeviceGetHandleByIndex(0)
    with pytest.raises(nvml.NVMLError_GpuIsLost):
        nvml.nvmlDeviceGetHandleByIndex(1)


def test_calls_are_counted_over_processes_and_open_handles_seen(fake_driver, fake_nvml_library):
    fake_driver.populate(1)
    code = "import pynvml as n; n.nvmlInit(); n.nvmlDeviceGetCount(); n.nvmlDeviceGetCount(); input()"
    environment = os.environ | fake_driver.environment(fake_nvml_library)
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE) as child:
        while fake_driver.calls("nvmlDeviceGetCount*") < 2:
            assert child.poll() is None
        assert fake_driver.users() == {child.pid: 1}
        child.kill()
    assert fake_driver.open_handles() == 0
    fake_driver.reset_calls()
    assert fake_driver.call_counts() == {}


def test_hang_ends_when_healed_and_blocks_no_other_call(fake_driver, nvml):
    fake_driver.populate(1)
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    fake_driver.hang("nvmlDeviceGetMemoryInfo*")
    sleeper = threading.Thread(target=nvml.nvmlDeviceGetMemoryInfo, args=(handle,))
    sleeper.start()
    while fake_driver.calls("nvmlDeviceGetMemoryInfo") == 0:
        assert nvml.nvmlDeviceGetCount() == 1
    assert sleeper.is_alive()
    fake_driver.heal()
    sleeper.join(timeout=PATIENCE_SECONDS)
    assert not sleeper.is_alive()


def test_crash_takes_down_the_calling_process_at_the_numbered_call(fake_driver):
    fake_driver.crash("nvmlDeviceGetCount_v2", skip=2, times=1)
    code = "import pynvml as n; n.nvmlInit()\nfor i in range(5): print(i, flush=True); n.nvmlDeviceGetCount()"
    assert [run_python(code).returncode, run_python(code).returncode] == [-11, 0]


def test_list_grows_between_the_two_calls_of_the_bindings(fake_driver, nvml):
    fake_driver.populate(1, processes=20)
    fake_driver.machine.list_growth = 3
    fake_driver.write()
    with pytest.raises(nvml.NVMLError_InsufficientSize):
        nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(0))


@pytest.mark.parametrize("reads", [0, 1, 2])
def test_reads_of_another_machine_do_not_count(reads, fake_driver, nvml, tmp_path, monkeypatch):
    fake_driver.populate(1, processes=20)
    for _ in range(reads):
        nvml.nvmlLib["nvmlDeviceGetComputeRunningProcesses_v3"](
            nvml.nvmlDeviceGetHandleByIndex(0), ctypes.byref(ctypes.c_uint()), None
        )
    (tmp_path / "other").mkdir()
    with FakeDriver(tmp_path / "other") as other:
        monkeypatch.setenv("FAKE_NVML_STATE", str(other.state_path))
        other.populate(1, processes=20)
        other.machine.list_growth = 3
        other.write()
        with pytest.raises(nvml.NVMLError_InsufficientSize):
            nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(0))


def test_rows_of_another_size_read_as_nonsense(fake_driver, nvml):
    fake_driver.populate(1, processes=4)
    fake_driver.machine.row_bytes = 32
    fake_driver.write()
    rows = nvml.nvmlDeviceGetComputeRunningProcesses(nvml.nvmlDeviceGetHandleByIndex(0))
    assert [row.pid for row in rows] != [10_000, 10_001, 10_002, 10_003]


def test_xid_reaches_the_sets_registered_for_its_gpu(fake_driver, nvml):
    fake_driver.populate(2)
    first = nvml.nvmlDeviceGetHandleByIndex(0)
    fake_driver.raise_xid(gpu_uuid(0), 13)
    events = nvml.nvmlEventSetCreate()
    nvml.nvmlDeviceRegisterEvents(first, nvml.nvmlDeviceGetSupportedEventTypes(first), events)
    with pytest.raises(nvml.NVMLError_Timeout):
        nvml.nvmlEventSetWait(events, 0)
    fake_driver.raise_xid(gpu_uuid(1), 31)
    fake_driver.raise_xid(gpu_uuid(0), 79)
    event = nvml.nvmlEventSetWait(events, 5000)
    assert (nvml.nvmlDeviceGetUUID(event.device), event.eventType, event.eventData) == (gpu_uuid(0), 8, 79)
    nvml.nvmlEventSetFree(events)


def test_shutdown_counts_back_and_calls_need_init(fake_driver):
    pynvml.nvmlInit()
    pynvml.nvmlInit()
    assert fake_driver.open_handles() == 2
    pynvml.nvmlShutdown()
    pynvml.nvmlShutdown()
    assert fake_driver.open_handles() == 0
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()


def test_without_a_state_file_there_is_no_driver(fake_driver, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_NVML_STATE", str(tmp_path / "absent"))
    with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        pynvml.nvmlInit()


def test_hand_edited_file_is_noticed(fake_driver, nvml):
    fake_driver.state_path.write_text(f"gpu uuid={gpu_uuid(3)} total=1024 name=By Hand\n")
    while nvml.nvmlDeviceGetCount() == 0:
        pass
    assert nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(0)) == "By Hand"


@pytest.mark.parametrize(("driver", "lists", "memory_v2"), [(535, "_v3", True), (470, "_v2", False), (450, "", False)])
def test_older_driver_lacks_symbols_and_nvitop_copes(fake_driver, tmp_path: Path, driver, lists, memory_v2):
    fake_driver.populate(1, processes=3)
    library = build(tmp_path, driver)
    symbols = ctypes.CDLL(str(library))
    for suffix in ("_v2", "_v3"):
        assert hasattr(symbols, f"nvmlDeviceGetComputeRunningProcesses{suffix}") == (suffix <= lists)
    assert hasattr(symbols, "nvmlDeviceGetMemoryInfo_v2") == memory_v2
    code = "import nvitop; [d] = nvitop.Device.all(); print({p: q.gpu_memory() for p, q in d.processes().items()})"
    result = run_python(code, LD_LIBRARY_PATH=str(tmp_path))
    assert result.stdout.strip() == str(dict.fromkeys((10_000, 10_001, 10_002), GIB // 2))


def test_what_is_compiled_is_kept_until_it_would_be_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "KEPT", tmp_path / "kept")
    source, header, options = tmp_path / "one.c", tmp_path / "one.h", ("-shared", "-fPIC")
    source.write_text('#include "one.h"\nint number(void) { return NUMBER; }')

    def number(place: str) -> int:
        return ctypes.CDLL(str(library.compiled(tmp_path / place, [source], options))).number()

    header.write_text("#define NUMBER 1")
    assert number("first.so") == 1
    header.write_text("#define NUMBER 2")
    assert number("second.so") == 2
    monkeypatch.setattr(subprocess, "run", None)
    assert number("second.so") == 2
    header.write_text("#define NUMBER 3")
    with pytest.raises(TypeError):
        number("second.so")


def test_two_controllers_hold_two_machines(fake_driver, fake_nvml_library, tmp_path):
    fake_driver.populate(1)
    (tmp_path / "other").mkdir()
    with FakeDriver(tmp_path / "other") as other:
        other.populate(3)
        code = "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetCount())"
        assert run_python(code).stdout == "1\n"
        assert run_python(code, **other.environment(fake_nvml_library)).stdout == "3\n"


def test_command_line_runs_a_program_on_a_fake_machine(fake_nvml_library):
    command = ["tests.fake_nvml", "--gpus", "2", "--processes", "3", "--", sys.executable, "-m", "gpustat", "--json"]
    result = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert [len(gpu["processes"]) for gpu in json.loads(result.stdout)["gpus"]] == [3, 3]
