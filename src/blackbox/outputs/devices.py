"""The devices of one moment as the outputs of metrics see them: which of them have readings, and who is on them."""

from typing import NamedTuple

from blackbox.hub import Published
from blackbox.model.snapshot import Gpu, Process, Snapshot
from blackbox.model.view import Shape

PROCESS_SERIES_MAX = 1_000
"""Processes with series of their own, the largest first; the database pays for each as long as it keeps data."""


class GpuView(NamedTuple):
    """One GPU or MIG instance as its series see it."""

    row: Gpu
    snapshot: Snapshot
    """Of this GPU (of the parent, for a MIG instance) alone."""
    seen_at: float
    """When its memory was last read, in Unix time."""
    up: bool
    """Its readings are fresh; otherwise it has none."""


class Devices(NamedTuple):
    """The devices of one moment."""

    gpus: tuple[GpuView, ...]
    instances: tuple[GpuView, ...]


def devices(snapshots: tuple[Snapshot, ...], timestamp: float, fresh: bool) -> Devices:
    """The devices in snapshots of one GPU each, taken at `timestamp` (Unix seconds).

    `fresh`: the moment is new enough to be shown at all.
    """
    views = [
        GpuView(
            row=row,
            snapshot=snapshot,
            seen_at=timestamp - row.age_seconds,
            up=fresh and row.state == "ok",
        )
        for snapshot in snapshots
        for row in snapshot.gpus
    ]
    return Devices(
        gpus=tuple(view for view in views if view.row.parent_uuid is None),
        instances=tuple(view for view in views if view.row.parent_uuid is not None),
    )


def devices_of(published: Published, fresh: bool, viewer_uid: int | None) -> Devices:
    """The same of a moment, as the viewer may see it; None sees all."""
    uuids = dict.fromkeys(
        device.uuid for sample in published.moment.samples for device in sample.devices if device.parent_uuid is None
    )
    snapshots = tuple(published.snapshot(Shape(uuid, "none", viewer_uid)) for uuid in uuids)
    return devices(snapshots, published.moment.timestamp, fresh)


def processes(seen: Devices) -> list[tuple[GpuView, Process]]:
    """All processes on devices that are up, the largest first, and the GPU that each is on."""
    up = {view.row.uuid for view in (*seen.gpus, *seen.instances) if view.up}
    rows = [(view, row) for view in seen.gpus for row in view.snapshot.processes if row.gpu_uuid in up]
    return sorted(rows, key=lambda one: (-one[1].used_bytes, one[1].gpu_uuid, one[1].pid))
