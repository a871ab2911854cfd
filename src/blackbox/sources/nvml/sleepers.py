"""GPUs that slept when the server started: shown by what the kernel module tells without waking them."""

from collections.abc import Iterable
from pathlib import Path

from blackbox.model.parts import Device
from blackbox.sources.nvidia.runtime_power import ASLEEP, read_identity

_UNKNOWN = ("memory", "processes", "utilization_percent", "temperature_celsius", "power_watts")


def sleepers(procfs: Path, addresses: Iterable[str], now: float) -> tuple[Device, ...]:
    """A row for each PCI address, in their order, which is the driver's."""
    return tuple(_sleeper(procfs, index, address, now) for index, address in enumerate(sorted(addresses)))


def _sleeper(procfs: Path, index: int, address: str, now: float) -> Device:
    identity = read_identity(procfs, address)
    keys = [*_UNKNOWN]
    keys += [] if identity.uuid else ["uuid"]
    keys += [] if identity.name else ["name"]
    return Device(
        uuid=identity.uuid or f"unknown-{index}",
        index=index,
        name=identity.name,
        state="asleep",
        reason=ASLEEP,
        taken_at=now,
        memory=None,
        unknown=dict.fromkeys(keys, ASLEEP),
    )
