"""The machine a test asks for, as plain data, and the text the fake driver reads it from. Sizes are bytes."""

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct, field

GIB = 1 << 30
Kind = Literal["compute", "graphics", "mps"]


class Process(Struct, kw_only=True):
    """One row of one process list of one device."""

    pid: int
    used_bytes: int | None = GIB
    """None: the driver says "not available" (2**64-1)."""
    kind: Kind = "compute"


class Memory(Struct, kw_only=True):
    """Version 2 figures; version 1 is derived from them (its `used` includes what the driver reserves)."""

    total_bytes: int = 80 * GIB
    reserved_bytes: int = 600 << 20
    used_bytes: int | None = None
    """None: the sum over the listed processes, each pid once."""
    free_bytes: int | None = None
    """None: what is left. Give it to make the figures disagree."""


class Mig(Struct, kw_only=True):
    """A MIG instance of the GPU that holds it."""

    uuid: str
    gpu_instance_id: int
    compute_instance_id: int = 0
    profile: str = "1g.10gb"
    slices: int = 1
    slot: int | None = None
    """Index among the GPU's MIG devices; None: as listed. Leave one out to make a hole."""
    memory: Memory = field(default_factory=lambda: Memory(total_bytes=10 * GIB, reserved_bytes=16 << 20))
    processes: list[Process] = field(default_factory=list)


class Gpm(Struct, kw_only=True):
    """What GPM measures, and what the peak bandwidth follows from; the figures of an H100."""

    occupancy_percent: int = 40
    dram_percent: int = 25
    memory_clock_mhz: int | None = 2619
    bus_width_bits: int | None = 5120


class Gpu(Struct, kw_only=True):
    """A GPU; its place in the machine's list is its index."""

    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    bus_id: str | None = None
    memory: Memory = field(default_factory=Memory)
    utilization_percent: int = 0
    memory_utilization_percent: int = 0
    temperature_celsius: int = 30
    power_milliwatts: int = 70_000
    gpm: Gpm | None = None
    """None: older than Hopper."""
    mig_mode: Literal["none", "off", "on"] = "none"
    """`none`: the GPU cannot do MIG, and the call says so."""
    addressing_mode: int | None = None
    """As NVML numbers them: 0 none, 1 HMM, 2 ATS. None: not supported."""
    numa_node: int | None = None
    filtered: bool | int = False
    """Its own process lists leave out those of its instances, as for a client without the mig-monitor capability; 2: of
    all but the first, as for a client that belongs to that."""
    instances: list[Mig] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)


class Fault(Struct, kw_only=True, frozen=True):
    """What happens to calls whose name matches `function`: first the sleep, then the crash, then the return code."""

    fault_id: int = 0
    """Given by the controller; under it the processes count the calls that matched."""
    function: str
    device: str | None = None
    code: int = 0
    sleep_seconds: float = 0
    crash: bool = False
    skip: int = 0
    times: int = 0
    """0: for ever."""


class QueuedEvent(Struct, kw_only=True, frozen=True):
    """An event for every event set registered for its type and GPU."""

    sequence: int
    uuid: str
    data: int
    event_type: int
    """One bit of NVML's event mask."""


class Limit(Struct, kw_only=True, frozen=True):
    """What a cgroup may hold of a GPU."""

    uuid: str
    path: str
    """Directory of the cgroup."""
    hard_bytes: int
    soft_bytes: int = 0
    used_bytes: int = 0


class Machine(Struct, kw_only=True):
    """Everything the fake driver knows."""

    gpus: list[Gpu] = field(default_factory=list)
    driver_version: str = "580.65.06"
    nvml_version: str = "13.580.65.06"
    cuda_version: int = 13000
    row_bytes: int | None = None
    """Size of a row of the process lists (`*_v3`); 32 is the R535 layout with a fifth field."""
    list_growth: int = 1
    """Every second read of a process list finds it this many times as long."""
    list_rows_max: int | None = None
    """Process lists stop at so many rows, without an error; NVIDIA's kernel module stops at 950."""
    limits: list[Limit] = field(default_factory=list)
    """None at all: a driver that keeps no limits, and says NOT_SUPPORTED."""
    faults: list[Fault] = field(default_factory=list)
    events: list[QueuedEvent] = field(default_factory=list)


def gpu_uuid(number: int) -> str:
    return f"GPU-{number:08x}-0000-4000-8000-{number:012x}"


def mig_uuid(gpu: int, number: int) -> str:
    return f"MIG-{gpu:08x}-{number:04x}-5000-8000-{number:012x}"


def populated(gpus: int, pids: Sequence[int]) -> list[Gpu]:
    """Alike GPUs between which `pids` are dealt out evenly, in order, half a GiB each."""
    share = len(pids) // gpus
    return [
        Gpu(
            uuid=gpu_uuid(number),
            memory=Memory(total_bytes=max(80, share) * GIB),
            processes=[Process(pid=pid, used_bytes=GIB // 2) for pid in pids[number * share : (number + 1) * share]],
        )
        for number in range(gpus)
    ]


def used_bytes(device: Gpu | Mig) -> int:
    """What `device` reports as used when its memory names no figure: its processes, each pid once at its maximum."""
    if device.memory.used_bytes is not None:
        return device.memory.used_bytes
    largest: dict[int, int] = {}
    for process in device.processes:
        largest[process.pid] = max(largest.get(process.pid, 0), process.used_bytes or 0)
    own = sum(largest.values())
    return own + sum(used_bytes(instance) for instance in device.instances) if isinstance(device, Gpu) else own


def lines(machine: Machine) -> Iterator[str]:
    """The state file, line by line."""
    yield _line(
        "driver",
        version=machine.driver_version,
        nvml=machine.nvml_version,
        cuda=machine.cuda_version,
        row_bytes=machine.row_bytes,
        grow=machine.list_growth,
        rows_max=machine.list_rows_max,
    )
    for gpu in machine.gpus:
        yield from _gpu_lines(gpu)
    for event in machine.events:
        yield _line("event", sequence=event.sequence, uuid=event.uuid, type=event.event_type, data=event.data)
    for limit in machine.limits:
        figures = {"soft": limit.soft_bytes, "hard": limit.hard_bytes, "used": limit.used_bytes}
        yield _line("limit", uuid=limit.uuid, **figures, path=limit.path)
    for fault in machine.faults:
        yield _line(
            "fault",
            id=fault.fault_id,
            function=fault.function,
            device=fault.device,
            code=fault.code,
            sleep_us=round(fault.sleep_seconds * 1e6),
            crash=int(fault.crash),
            skip=fault.skip,
            times=fault.times,
        )


def _gpu_lines(gpu: Gpu) -> Iterator[str]:
    yield _line(
        "gpu",
        uuid=gpu.uuid,
        bus=gpu.bus_id,
        **_memory_fields(gpu),
        util=gpu.utilization_percent,
        mem_util=gpu.memory_utilization_percent,
        temp=gpu.temperature_celsius,
        power=gpu.power_milliwatts,
        **_gpm_fields(gpu.gpm),
        mig={"none": None, "off": 0, "on": 1}[gpu.mig_mode],
        filtered=int(gpu.filtered) or None,
        addressing=gpu.addressing_mode,
        numa=gpu.numa_node,
        name=gpu.name,
    )
    yield from map(_process_line, gpu.processes)
    for instance in gpu.instances:
        yield _line(
            "mig",
            uuid=instance.uuid,
            gi=instance.gpu_instance_id,
            ci=instance.compute_instance_id,
            slot=instance.slot,
            slices=instance.slices,
            **_memory_fields(instance),
            name=f"{gpu.name} MIG {instance.profile}",
        )
        yield from map(_process_line, instance.processes)


def _gpm_fields(gpm: Gpm | None) -> dict[str, int | None]:
    if gpm is None:
        return {}
    return {
        "gpm_occupancy": gpm.occupancy_percent,
        "gpm_dram": gpm.dram_percent,
        "memory_clock": gpm.memory_clock_mhz,
        "bus_width": gpm.bus_width_bits,
    }


def _memory_fields(device: Gpu | Mig) -> dict[str, int | None]:
    memory = device.memory
    return {
        "total": memory.total_bytes,
        "reserved": memory.reserved_bytes,
        "used": used_bytes(device),
        "free": memory.free_bytes,
    }


def _process_line(process: Process) -> str:
    used = "na" if process.used_bytes is None else process.used_bytes
    return _line("process", pid=process.pid, used=used, kind=process.kind)


def _line(word: str, **fields: str | int | None) -> str:
    return " ".join([word, *(f"{key}={value}" for key, value in fields.items() if value is not None)]) + "\n"
