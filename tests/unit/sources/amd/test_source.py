"""AMD's GPUs out of the kernel's files: what is told, by whom, and what becomes of it when it is not."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.sample import Sample
from blackbox.model.snapshot import Snapshot
from blackbox.sources.amd.clients import DrmClient, parse_fdinfo
from blackbox.sources.amd.source import AmdSource
from blackbox.sources.vendor import vendor_of
from tests.clocks import ManualClock
from tests.fake_amd import GIB, FakeAmd, FakeGpu

NEAR, FAR = "0000:03:00.0", "0001:c3:00.0"
ID = "1bd7a2c4f1e0a55c"
MIB = 1024**2


@pytest.fixture
def fake(tmp_path: Path) -> FakeAmd:
    machine = FakeAmd(tmp_path)
    machine.add_gpu(FakeGpu(NEAR, ID, kfd_numbers=(51,)))
    return machine


def source(fake: FakeAmd, clock: ManualClock | None = None) -> AmdSource:
    clock = clock or ManualClock(100.0)
    return AmdSource(root=fake.root, clock=clock, wall_clock=lambda: 1.0, stopwatch=clock)


def sample(fake: FakeAmd) -> Sample:
    return source(fake).sample()


def snapshot(taken: Sample) -> Snapshot:
    moment = Moment(seq=1, timestamp=1.0, taken_at=taken.taken_at, host="", samples=(taken,), sources=())
    return merge(moment)


def later(taken: AmdSource, clock: ManualClock, seconds: float = 1.0) -> Sample:
    clock.now += seconds
    return taken.sample()


def test_a_gpu_is_told_as_the_driver_tells_it(fake: FakeAmd) -> None:
    (gpu,) = sample(fake).devices
    assert (gpu.index, gpu.uuid, gpu.name, gpu.state) == (0, f"GPU-{ID}", "AMD Instinct MI300X OAM", "ok")
    assert gpu.memory is not None
    assert (gpu.memory.total_bytes, gpu.memory.used_bytes, gpu.memory.free_bytes) == (192 * GIB, GIB, 191 * GIB)
    assert (gpu.utilization_percent, gpu.temperature_celsius, gpu.power_watts) == (37.0, 41.0, 305.0)
    assert gpu.unknown == {"driver_reserved_bytes": "the driver counts its own share into used_bytes"}


def test_gpus_are_counted_by_their_addresses(fake: FakeAmd) -> None:
    fake.add_gpu(FakeGpu(FAR, None))
    assert [(gpu.index, gpu.uuid) for gpu in sample(fake).devices] == [(0, f"GPU-{ID}"), (1, f"PCI-{FAR}")]


def test_what_is_no_gpu_in_the_drivers_directory_is_none(fake: FakeAmd) -> None:
    assert len(sample(fake).devices) == 1  # `bind` stands there, too


@pytest.mark.parametrize("unique_id", ["0000000000000000", "", "no", "1" * 17])
def test_an_id_that_is_none_is_not_an_identity(tmp_path: Path, unique_id: str) -> None:
    fake = FakeAmd(tmp_path)
    fake.add_gpu(FakeGpu(NEAR, unique_id))
    assert sample(fake).devices[0].uuid == f"PCI-{NEAR}"


def test_names_come_from_the_board_the_market_or_the_number(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path)
    fake.add_gpu(FakeGpu(NEAR, ID, product_name=None))
    assert sample(fake).devices[0].name == "AMD GPU 74a1"
    fake.write("usr/share/libdrm/amdgpu.ids", "# list\n1.0.0\n73BF,\tC1,\tOther\n74A1,\t00,\tAMD Instinct MI300X")
    assert sample(fake).devices[0].name == "AMD Instinct MI300X"


def test_a_gpu_without_an_edge_is_as_hot_as_its_hottest_spot(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path)
    fake.add_gpu(FakeGpu(NEAR, ID, files={"hwmon/hwmon3/temp1_label": "mem"}))
    assert sample(fake).devices[0].temperature_celsius == 55.0


def test_a_gpu_that_sleeps_is_not_woken(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path)
    fake.add_gpu(FakeGpu(NEAR, ID, files={"power/runtime_status": "suspended"}))
    (gpu,) = sample(fake).devices
    assert gpu.memory is not None
    assert gpu.power_watts is None
    assert gpu.unknown["power_watts"] == "the GPU sleeps, and asking would wake it"


def test_sensors_are_asked_once_a_second(fake: FakeAmd) -> None:
    clock = ManualClock(100.0)
    taken = source(fake, clock)
    taken.sample()
    fake.write(f"sys/bus/pci/drivers/amdgpu/{NEAR}/gpu_busy_percent", "99")
    assert [later(taken, clock, 0.5).devices[0].utilization_percent for _ in range(2)] == [37.0, 99.0]


def test_sensors_that_lie_or_are_missing_are_unknown(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path)
    directory = fake.add_gpu(FakeGpu(NEAR, ID, files={"gpu_busy_percent": "65535"}))
    shutil.rmtree(directory / "hwmon")
    (gpu,) = sample(fake).devices
    assert gpu.unknown["utilization_percent"] == "the driver answered an impossible value: 65535"
    assert gpu.unknown["temperature_celsius"] == "the GPU has no sensor of its temperature"


def test_compute_processes_are_told_by_kfd_with_their_names(fake: FakeAmd) -> None:
    fake.add_process(4711, "vllm")
    fake.hold_by_kfd(4711, gpu_51=3 * GIB)
    (process,) = sample(fake).processes
    assert (process.pid, process.name, process.kind, process.used_bytes) == (4711, "vllm", "compute", 3 * GIB)
    assert process.gpu_uuid == f"GPU-{ID}"
    assert process.start_time == 1700000042.0


def test_partitions_of_a_gpu_count_together(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path)
    fake.add_gpu(FakeGpu(FAR, ID, kfd_numbers=(7, 8)))
    fake.add_process(10)
    fake.hold_by_kfd(10, gpu_7=GIB, gpu_8=2 * GIB, gpu_99=GIB)
    (process,) = sample(fake).processes
    assert process.used_bytes == 3 * GIB


def test_a_process_in_both_lists_has_the_larger_figure_not_the_sum(fake: FakeAmd) -> None:
    for pid, of_kfd, of_client in ((10, 3, 2), (11, 2, 3)):
        fake.add_process(pid)
        fake.hold_by_kfd(pid, gpu_51=of_kfd * MIB)
        fake.open_client(pid, 5, NEAR, pid, f"{of_client * 1024} KiB")
    assert [process.used_bytes for process in sample(fake).processes] == [3 * MIB, 3 * MIB]


def test_graphics_programs_are_told_by_their_open_files(fake: FakeAmd) -> None:
    fake.add_process(20, "Xorg")
    fake.open_client(20, 5, NEAR, 1, "2 MiB")
    fake.open_client(20, 6, NEAR, 1, "2 MiB")  # a copy of the same
    fake.open_client(20, 7, NEAR, 2, "1024", key="drm-memory-vram")
    fake.add_process(21)
    fake.open_client(21, 5, NEAR, 1, "2 MiB")  # handed on to another process
    fake.add_process(22)
    fake.open_file(22, 3, "/dev/dri/card1", "drm-driver:\ti915\ndrm-pdev:\t0000:00:02.0\ndrm-client-id:\t4")
    (process,) = sample(fake).processes
    assert (process.pid, process.kind, process.used_bytes) == (20, "graphics", 2 * MIB + 1024)


def test_a_process_with_rocms_device_open_is_a_compute_process(fake: FakeAmd) -> None:
    fake.add_process(30)
    fake.open_client(30, 5, NEAR, 1, "8 MiB")
    fake.open_file(30, 6, "/dev/kfd")
    assert [process.kind for process in sample(fake).processes] == ["compute"]


def test_in_a_container_pids_of_the_host_are_not_taken_for_ours(fake: FakeAmd) -> None:
    fake.set_namespace("pid:[4026532000]")
    fake.add_process(1)
    fake.open_client(1, 5, NEAR, 9, "5 MiB")
    fake.hold_by_kfd(1, gpu_51=GIB)  # somebody else's pid 1
    taken = sample(fake)
    assert [process.used_bytes for process in taken.processes] == [5 * MIB]
    assert "container" in taken.devices[0].unknown["processes"]
    assert taken.facts == {"driver_version": "6.12.12", "pid_scope": "namespace", "profiling": "none"}


def test_processes_whose_files_are_hidden_are_said_to_be(fake: FakeAmd, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.add_process(1)
    fake.add_process(40)
    fake.hold_by_kfd(1, gpu_51=GIB)
    import os

    listdir = os.listdir

    def closed(path: str | Path) -> list[str]:
        if str(path).endswith("/40/fd"):
            raise PermissionError
        return listdir(path)

    monkeypatch.setattr(os, "listdir", closed)
    taken = sample(fake)
    assert taken.state == "ok"
    assert taken.devices[0].unknown["processes"] == (
        "the open files of 1 processes may not be seen, and so not whether they are graphics programs"
    )
    gpu = snapshot(taken).gpus[0]
    assert gpu.unknown["unattributed_bytes"].startswith("includes processes that are not listed")


def test_lists_are_read_again_after_a_second_not_before(fake: FakeAmd) -> None:
    clock = ManualClock(100.0)
    taken = source(fake, clock)
    taken.sample()
    fake.add_process(50)
    fake.hold_by_kfd(50, gpu_51=GIB)
    assert later(taken, clock, 0.5).processes == ()
    assert later(taken, clock, 0.5).processes_taken_at == clock.now
    assert [process.pid for process in taken.sample().processes] == [50]


def test_a_gpu_that_goes_is_lost_and_one_that_returns_is_back(fake: FakeAmd) -> None:
    clock = ManualClock(100.0)
    taken = source(fake, clock)
    fake.add_process(60)
    fake.hold_by_kfd(60, gpu_51=GIB)
    assert len(taken.sample().processes) == 1
    directory = fake.root / "sys/bus/pci/drivers/amdgpu" / NEAR
    directory.rename(fake.root / "elsewhere")
    gone = later(taken, clock)
    assert (gone.state, gone.devices[0].state, gone.devices[0].memory) == ("degraded", "lost", None)
    assert [event.kind for event in gone.events] == ["gpu_lost"]
    assert gone.processes == ()
    (fake.root / "elsewhere").rename(directory)
    back = later(taken, clock)
    assert (back.state, back.devices[0].state) == ("ok", "ok")
    assert [event.kind for event in back.events] == ["gpu_back"]
    assert len(back.processes) == 1


def test_a_passing_fault_leaves_the_last_figures_with_their_age(fake: FakeAmd) -> None:
    clock = ManualClock(100.0)
    taken = source(fake, clock)
    taken.sample()
    used = fake.root / "sys/bus/pci/drivers/amdgpu" / NEAR / "mem_info_vram_used"
    used.write_text("reset in progress\n")
    states = [later(taken, clock, 0.5).devices[0] for _ in range(4)]
    assert [gpu.state for gpu in states] == ["stale", "stale", "stale", "lost"]
    assert states[0].memory is not None
    assert states[0].taken_at == 100.0
    assert states[3].memory is None
    used.write_text("4096\n")
    assert later(taken, clock).devices[0].state == "ok"


def test_memory_that_cannot_be_is_not_told(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path)
    fake.add_gpu(FakeGpu(NEAR, ID, total_bytes=GIB, used_bytes=2 * GIB))
    (gpu,) = sample(fake).devices
    assert (gpu.state, gpu.memory) == ("stale", None)
    assert "impossible memory" in str(gpu.reason)


def test_a_gpu_that_tells_no_memory_is_not_ill(fake: FakeAmd) -> None:
    (fake.root / "sys/bus/pci/drivers/amdgpu" / NEAR / "mem_info_vram_total").unlink()
    taken = sample(fake)
    assert (taken.state, taken.devices[0].state, taken.devices[0].memory) == ("ok", "ok", None)
    assert taken.devices[0].unknown["memory"] == "mem_info_vram_total: No such file or directory"


def test_a_file_in_quarantine_is_not_read(fake: FakeAmd) -> None:
    marks: list[tuple[str, int]] = []
    taken = AmdSource(root=fake.root, breadcrumb=lambda name, gpu: marks.append((name, gpu)), clock=ManualClock(100.0))
    taken.quarantine = {("mem_info_vram_used", 0): "hung before"}
    (gpu,) = taken.sample().devices
    assert (gpu.state, gpu.reason) == ("failed", "hung before")
    assert ("mem_info_vram_total", 0) in marks
    assert ("mem_info_vram_used", 0) not in marks


def test_open_files_in_quarantine_are_not_looked_at_and_that_is_said(fake: FakeAmd) -> None:
    fake.add_process(20)
    fake.open_client(20, 5, NEAR, 1, "2 MiB")
    taken = source(fake)
    taken.quarantine = {("fdinfo", -1): "hung before"}
    sample = taken.sample()
    assert sample.processes == ()
    assert sample.devices[0].unknown["processes"] == "hung before"


def test_each_process_is_announced_so_that_many_are_no_hang(fake: FakeAmd) -> None:
    for pid in (1, 2, 3):
        fake.add_process(pid)
    marks: list[tuple[str, int]] = []
    AmdSource(root=fake.root, breadcrumb=lambda name, gpu: marks.append((name, gpu)), clock=ManualClock(100.0)).sample()
    assert marks.count(("fdinfo", -1)) == 3


def test_without_the_driver_there_is_no_gpu_and_a_remedy(tmp_path: Path) -> None:
    taken = AmdSource(root=tmp_path).sample()
    assert (taken.state, taken.devices) == ("no_driver", ())
    assert "modprobe amdgpu" in str(taken.reason)


def test_closed_and_asked_again_it_begins_anew(fake: FakeAmd) -> None:
    taken = source(fake)
    first = taken.sample()
    taken.close()
    assert taken.sample().devices == first.devices


@pytest.mark.parametrize(
    ("modules", "wanted", "vendor"),
    [
        ((), None, "nvidia"),
        (("amdgpu",), None, "amd"),
        (("amdgpu", "nvidia"), None, "nvidia"),
        (("amdgpu", "nvidia"), "amd", "amd"),
        (("amdgpu",), "nvidia", "nvidia"),
    ],
)
def test_whose_gpus(tmp_path: Path, modules: tuple[str, ...], wanted: str | None, vendor: str) -> None:
    for module in modules:
        (tmp_path / module).mkdir()
    assert vendor_of(wanted, tmp_path) == vendor  # pyright: ignore[reportArgumentType]


@given(st.text(max_size=400))
def test_no_text_of_an_open_file_is_too_strange(text: str) -> None:
    client = parse_fdinfo(text)
    assert client is None or client.bytes >= 0


@given(
    size=st.integers(0, 2**40), unit=st.sampled_from([("", 1), (" KiB", 1024), (" MiB", MIB)]), client=st.integers(0)
)
def test_sizes_have_units(size: int, unit: tuple[str, int], client: int) -> None:
    text = f"drm-driver:\tamdgpu\ndrm-pdev:\t{NEAR}\ndrm-client-id:\t{client}\ndrm-resident-vram:\t{size}{unit[0]}\n"
    assert parse_fdinfo(text) == DrmClient(NEAR, str(client), size * unit[1])


@given(data=st.data())
def test_the_ledger_of_any_machine_adds_up(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    fake = FakeAmd(tmp_path_factory.mktemp("amd"))
    for number in range(data.draw(st.integers(1, 3))):
        total = data.draw(st.integers(1, 2**40))
        used = data.draw(st.integers(0, total))
        fake.add_gpu(FakeGpu(f"0000:0{number}:00.0", f"{number + 1:016x}", total, used, kfd_numbers=(number + 1,)))
        for pid in data.draw(st.sets(st.integers(1, 5))):
            fake.add_process(pid)
            fake.hold_by_kfd(pid, **{f"gpu_{number + 1}": data.draw(st.integers(0, used))})
    told = snapshot(sample(fake))
    assert told.total_bytes == told.used_bytes + told.free_bytes + told.driver_reserved_bytes
    assert told.used_bytes == sum(process.used_bytes for process in told.processes) + told.unattributed_bytes
    for process in told.processes:
        blocks = [block for block in told.blocks if (block.pid, block.gpu) == (process.pid, process.gpu)]
        assert sum(block.size for block in blocks) == process.used_bytes


# ---- processors with graphics ----

STRIX_HALO = {
    "mem_info_gtt_total": str(110 * GIB),
    "mem_info_gtt_used": str(60 * GIB),
}


def apu(root: Path, files: dict[str, str] | None = None, total_bytes: int = GIB // 2) -> FakeAmd:
    machine = FakeAmd(root)
    gpu = FakeGpu(NEAR, None, total_bytes=total_bytes, used_bytes=GIB // 4, product_name="Radeon 8060S")
    gpu.files = STRIX_HALO | (files or {})
    machine.add_gpu(gpu)
    return machine


def test_a_processor_with_graphics_has_its_carve_out_and_what_it_may_use_of_the_machine(tmp_path: Path) -> None:
    (gpu,) = snapshot(sample(apu(tmp_path))).gpus
    assert gpu.total_bytes == 110 * GIB + GIB // 2
    assert gpu.used_bytes == 60 * GIB + GIB // 4
    assert gpu.memory_source == "amdgpu_vram_gtt"


@pytest.mark.parametrize(("version", "is_one"), [(1, False), (2, True), (3, True)])
def test_the_table_of_metrics_tells_a_card_from_a_processor(tmp_path: Path, version: int, is_one: bool) -> None:
    machine = apu(tmp_path, total_bytes=16 * GIB)
    metrics = machine.root / "sys/bus/pci/drivers/amdgpu" / NEAR / "gpu_metrics"
    metrics.write_bytes(bytes([96, 0, version, 3]))
    (gpu,) = snapshot(sample(machine)).gpus
    assert gpu.memory_source == ("amdgpu_vram_gtt" if is_one else "amdgpu")
    assert gpu.total_bytes == (126 * GIB if is_one else 16 * GIB)


def test_a_card_beside_much_machine_memory_is_still_a_card(tmp_path: Path) -> None:
    (gpu,) = snapshot(sample(apu(tmp_path, total_bytes=8 * GIB))).gpus
    assert (gpu.total_bytes, gpu.memory_source) == (8 * GIB, "amdgpu")


@pytest.mark.parametrize(("carve_out", "shared"), [(96, 16), (0.5, 110), (64, 64)])
def test_a_carve_out_may_be_larger_than_what_is_shared(tmp_path: Path, carve_out: float, shared: int) -> None:
    files = {"mem_info_gtt_total": str(shared * GIB), "mem_info_gtt_used": str(GIB)}
    machine = apu(tmp_path, files, total_bytes=int(carve_out * GIB))
    (machine.root / "sys/bus/pci/drivers/amdgpu" / NEAR / "gpu_metrics").write_bytes(bytes([96, 0, 3, 0]))
    (gpu,) = snapshot(sample(machine)).gpus
    assert gpu.total_bytes == int(carve_out * GIB) + shared * GIB
    assert gpu.memory_source == "amdgpu_vram_gtt"


def test_a_processor_that_sleeps_when_first_seen_is_known_for_one_when_it_wakes(tmp_path: Path) -> None:
    machine = apu(tmp_path, {"power/runtime_status": "suspended"}, total_bytes=64 * GIB)
    folder = machine.root / "sys/bus/pci/drivers/amdgpu" / NEAR
    (folder / "gpu_metrics").write_bytes(bytes([96, 0, 3, 0]))
    clock = ManualClock(100.0)
    taken = source(machine, clock)
    assert snapshot(taken.sample()).gpus[0].memory_source == "amdgpu"
    (folder / "power/runtime_status").write_text("active")
    assert snapshot(later(taken, clock)).gpus[0].memory_source == "amdgpu_vram_gtt"
    (folder / "power/runtime_status").write_text("suspended")
    assert snapshot(later(taken, clock)).gpus[0].memory_source == "amdgpu_vram_gtt", "it was seen awake"


def test_a_processor_that_does_not_tell_what_it_shares_has_its_carve_out_marked(tmp_path: Path) -> None:
    machine = apu(tmp_path)
    folder = machine.root / "sys/bus/pci/drivers/amdgpu" / NEAR
    (folder / "gpu_metrics").write_bytes(bytes([96, 0, 2, 0]))
    for name in STRIX_HALO:
        (folder / name).unlink()
    answer = snapshot(sample(machine))
    (gpu,) = answer.gpus
    assert (gpu.total_bytes, gpu.used_bytes, gpu.memory_source) == (GIB // 2, GIB // 4, "amdgpu")
    for row in (gpu, answer):
        assert "of the carve-out alone: mem_info_gtt_total" in row.unknown["total_bytes"]


@pytest.mark.edge(9)
@pytest.mark.parametrize("is_apu", [True, False])
def test_a_limit_of_the_carve_out_alone_is_no_limit_of_what_a_program_may_use(tmp_path: Path, is_apu: bool) -> None:
    """The kernel's controller registers a GPU's own memory; a program goes on in the machine's."""
    machine = apu(tmp_path, total_bytes=GIB if is_apu else 16 * GIB)
    machine.add_process(4711)
    machine.write("proc/4711/cgroup", "0::/box")
    machine.open_client(4711, 5, NEAR, 1, "524288 KiB")
    region = f"drm/{NEAR}/vram0"
    machine.write("sys/fs/cgroup/dmem.capacity", f"{region} {GIB if is_apu else 16 * GIB}")
    machine.write("sys/fs/cgroup/box/dmem.max", f"{region} {GIB // 2}")
    (row,) = sample(machine).processes
    assert row.used_bytes == GIB // 2
    assert (row.limit is None) == is_apu


def test_an_accelerator_without_vram_of_its_own_has_the_machines(tmp_path: Path) -> None:
    """MI300A: the processor's memory is all it has, and its table of metrics is that of a card."""
    machine = apu(tmp_path, total_bytes=0)
    folder = machine.root / "sys/bus/pci/drivers/amdgpu" / NEAR
    (folder / "mem_info_vram_used").write_text("0")
    (folder / "gpu_metrics").write_bytes(bytes([96, 0, 1, 6]))
    (gpu,) = snapshot(sample(machine)).gpus
    assert (gpu.total_bytes, gpu.used_bytes, gpu.memory_source) == (110 * GIB, 60 * GIB, "amdgpu_vram_gtt")


def test_of_several_gpus_each_has_what_is_its_own(tmp_path: Path) -> None:
    machine = apu(tmp_path)
    machine.add_gpu(FakeGpu(FAR, "0123456789abcdef", files=STRIX_HALO))
    processor, card = snapshot(sample(machine)).gpus
    assert (processor.memory_source, processor.total_bytes) == ("amdgpu_vram_gtt", 110 * GIB + GIB // 2)
    assert (card.memory_source, card.total_bytes) == ("amdgpu", 192 * GIB)


@pytest.mark.parametrize("key", ["resident", "memory"])
def test_programs_of_a_processor_with_graphics_hold_both(tmp_path: Path, key: str) -> None:
    machine = apu(tmp_path)
    machine.add_process(30)
    machine.open_client(30, 5, NEAR, 7, "131072 KiB", f"drm-{key}-vram")
    fdinfo = machine.root / "proc/30/fdinfo/5"
    fdinfo.write_text(fdinfo.read_text() + f"drm-{key}-gtt:\t52428800 KiB\n")
    (process,) = sample(machine).processes
    assert process.used_bytes == 50 * GIB + 128 * MIB


def test_programs_of_a_card_hold_its_memory_alone(fake: FakeAmd) -> None:
    fake.add_process(30)
    fake.open_client(30, 5, NEAR, 7, "2048 KiB")
    fdinfo = fake.root / "proc/30/fdinfo/5"
    fdinfo.write_text(fdinfo.read_text() + "drm-resident-gtt:\t999999 KiB\n")
    (process,) = sample(fake).processes
    assert process.used_bytes == 2 * MIB


# ---- parts that cannot be ----


@pytest.mark.fault(62)
def test_row_62_a_figure_of_kfd_that_cannot_be_costs_itself(fake: FakeAmd) -> None:
    fake.hold_by_kfd(10, gpu_51=2**64 - 4096)
    fake.hold_by_kfd(11, gpu_51=GIB)
    for pid in (10, 11):
        fake.add_process(pid)
    taken = sample(fake)
    assert {row.pid: row.used_bytes for row in taken.processes} == {11: GIB}
    assert taken.state == "ok"
    assert taken.cost["process_rows_left_out_total"] == 1
    assert "pid 10" in snapshot(taken).unknown["processes"]


@pytest.mark.fault(62)
def test_row_62_a_memory_of_0_bytes_is_not_told_and_no_fault(fake: FakeAmd, tmp_path: Path) -> None:
    fake.add_gpu(FakeGpu(FAR, "0123456789abcdef", total_bytes=0, used_bytes=0))
    clock = ManualClock(100.0)
    taken = source(fake, clock)
    for _ in range(6):
        last = later(taken, clock)
        assert [device.state for device in last.devices] == ["ok", "ok"]
        assert last.devices[1].memory is None
        assert last.state == "ok"
