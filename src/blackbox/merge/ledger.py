"""The row of each GPU and MIG instance: its memory, and how much of it its processes account for."""

from blackbox.merge.process_memory import unmeasured_reason
from blackbox.merge.process_rows import DeviceShare, ProcessRows
from blackbox.merge.selection import Selection
from blackbox.model.parts import SYSTEM_MEMORY, Device, GivenGpus, GivenTo, GpuState, Memory
from blackbox.model.snapshot import Gpu

NO_MEMORY = Memory(total_bytes=0, used_bytes=0, free_bytes=0, driver_reserved_bytes=0, source="")
LEDGER_KEYS = ("total_bytes", "used_bytes", "free_bytes", "driver_reserved_bytes", "used_percent", "unattributed_bytes")

OF_THE_MACHINE = "the GPU uses the machine's memory: what programs hold that use no GPU is in it"


NO_SHARE = DeviceShare()


def gpu_rows(selection: Selection, rows: ProcessRows) -> tuple[Gpu, ...]:
    """One row per device, parents before their MIG instances. A process counts on its instance and on its parent."""
    held = rows.held
    parents = {device.parent_uuid for device in selection.devices if device.parent_uuid is not None}
    if parents:
        held = held | {uuid: _with_instances(selection, held, uuid) for uuid in parents}
    return tuple(_row(selection, device, held.get(device.uuid, NO_SHARE)) for device in selection.devices)


def _with_instances(selection: Selection, held: dict[str, DeviceShare], uuid: str) -> DeviceShare:
    """What is held on a GPU and on all its MIG instances."""
    family = [device.uuid for device in selection.devices if uuid in (device.uuid, device.parent_uuid)]
    parts = [held[one] for one in family if one in held]
    allocated = [part.allocated_bytes for part in parts if part.allocated_bytes is not None]
    return DeviceShare(
        sum(part.used_bytes for part in parts),
        sum(part.reserved_bytes for part in parts),
        sum(allocated) if allocated else None,
        [pid for part in parts for pid in part.unmeasured],
    )


def _row(selection: Selection, device: Device, held: DeviceShare) -> Gpu:
    memory = device.memory or NO_MEMORY
    age = max(0.0, selection.taken_at - device.taken_at)
    state, reason = _state(device, age, selection.stale_after_seconds)
    given_to, not_given = _given(selection.given, device.uuid)
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
        reserved_bytes=held.reserved_bytes,
        unattributed_bytes=_unattributed(device.memory, held.used_bytes),
        used_percent=round(100 * memory.used_bytes / memory.total_bytes, 2) if memory.total_bytes else 0.0,
        memory_source=memory.source or None,
        parent_uuid=device.parent_uuid,
        mig=device.mig,
        utilization_percent=device.utilization_percent,
        temperature_celsius=device.temperature_celsius,
        power_watts=device.power_watts,
        xid=selection.xids.get(device.uuid),
        addressing_mode=device.addressing_mode,
        allocated_bytes=held.allocated_bytes,
        numa_node=device.numa_node,
        given_to=given_to,
        unknown=_unknown(device, reason, held.unmeasured) | not_given,
    )


def _given(given: GivenGpus | None, uuid: str) -> tuple[tuple[GivenTo, ...] | None, dict[str, str]]:
    """Who was given it, and why that is not known, where somebody asks."""
    if given is None:
        return None, {}
    containers = given.containers.get(uuid)
    if containers is None and given.reason is not None:
        return None, {"given_to": given.reason}
    return containers or (), {}


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
