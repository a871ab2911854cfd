"""The row of each GPU and MIG instance: its memory, and how much of it its processes account for."""

from collections import defaultdict
from collections.abc import Iterable

from blackbox.merge.process_memory import ProcessMemory, unmeasured_reason
from blackbox.merge.selection import Selection
from blackbox.model.parts import SYSTEM_MEMORY, Device, GpuState, Memory
from blackbox.model.snapshot import Gpu

NO_MEMORY = Memory(total_bytes=0, used_bytes=0, free_bytes=0, driver_reserved_bytes=0, source="")
LEDGER_KEYS = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes", "used_percent", "unattributed_bytes")

OF_THE_MACHINE = "the GPU uses the machine's memory: what programs hold that use no GPU is in it"


def gpu_rows(selection: Selection, rows: Iterable[ProcessMemory]) -> tuple[Gpu, ...]:
    """One row per device, parents before their MIG instances. A process counts on its instance and on its parent."""
    parents = {device.uuid: device.parent_uuid for device in selection.devices}
    used: defaultdict[str, int] = defaultdict(int)
    reserved: defaultdict[str, int] = defaultdict(int)
    allocated: dict[str, int] = {}
    unmeasured: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        process = row.process
        for uuid in (process.gpu_uuid, parents[process.gpu_uuid]):
            if uuid is not None:
                used[uuid] += process.used_bytes
                reserved[uuid] += process.reserved_bytes
                if process.allocated_bytes is not None:
                    allocated[uuid] = allocated.get(uuid, 0) + process.allocated_bytes
                if row.unmeasured:
                    unmeasured[uuid].append(process.pid)
    return tuple(
        _row(
            selection,
            device,
            used[device.uuid],
            reserved[device.uuid],
            allocated.get(device.uuid),
            unmeasured.get(device.uuid, []),
        )
        for device in selection.devices
    )


def _row(
    selection: Selection,
    device: Device,
    processes_used: int,
    processes_reserved: int,
    processes_allocated: int | None,
    unmeasured: list[int],
) -> Gpu:
    memory = device.memory or NO_MEMORY
    age = max(0.0, selection.taken_at - device.taken_at)
    state, reason = _state(device, age, selection.stale_after_seconds)
    return Gpu(
        index=device.index,
        uuid=device.uuid,
        name=device.name,
        state=state,
        reason=reason,
        age_seconds=round(age, 3),
        total_bytes=memory.total_bytes,
        used_bytes=memory.used_bytes,
        free_bytes=memory.free_bytes,
        driver_reserved_bytes=memory.driver_reserved_bytes,
        reserved_bytes=processes_reserved,
        unattributed_bytes=_unattributed(device.memory, processes_used),
        used_percent=round(100 * memory.used_bytes / memory.total_bytes, 2) if memory.total_bytes else 0.0,
        memory_source=memory.source or None,
        parent_uuid=device.parent_uuid,
        mig=device.mig,
        utilization_percent=device.utilization_percent,
        temperature_celsius=device.temperature_celsius,
        power_watts=device.power_watts,
        xid=selection.xids.get(device.uuid),
        addressing_mode=device.addressing_mode,
        allocated_bytes=processes_allocated,
        numa_node=device.numa_node,
        unknown=_unknown(device, reason, unmeasured),
    )


def _state(device: Device, age: float, stale_after: float) -> tuple[GpuState, str | None]:
    if device.state == "ok" and age > stale_after:
        return "stale", f"no new figures for {age:.1f} s"
    return device.state, device.reason


def _unattributed(memory: Memory | None, processes_used: int) -> int:
    """0 where nobody measured it. What programs hold in a machine's memory that use no GPU cannot make it negative."""
    if memory is None:
        return 0
    rest = memory.used_bytes - processes_used
    return max(0, rest) if memory.source == SYSTEM_MEMORY else rest


def _unknown(device: Device, reason: str | None, unmeasured: list[int]) -> dict[str, str]:
    unknown = device.unknown
    if device.memory is None:
        why = unknown.get("memory") or reason or "the driver does not say"
        unknown = dict.fromkeys(LEDGER_KEYS, why) | unknown
    if device.memory is not None and device.memory.source == SYSTEM_MEMORY:
        unknown = {"unattributed_bytes": OF_THE_MACHINE} | unknown
    if unmeasured:
        unknown = {"unattributed_bytes": unmeasured_reason(unmeasured)} | unknown
    if "processes" in unknown:
        unlisted = f"processes that are not listed: {unknown['processes']}"
        unknown = {
            "unattributed_bytes": f"includes {unlisted}",
            "reserved_bytes": f"without {unlisted}",
        } | unknown
    return {key: why for key, why in unknown.items() if key not in ("memory", "processes")} if unknown else unknown
