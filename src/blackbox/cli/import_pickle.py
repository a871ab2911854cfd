"""PyTorch memory snapshots: what they hold, as the object of `GET /vram`."""

from pathlib import Path

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.model.snapshot import Moment, SourceStatus
from blackbox.sources.snapshot_file import Contents
from blackbox.sources.snapshot_file.contents import NOT_TOLD, TAKEN_AT
from blackbox.sources.snapshot_file.reading import read as read_contents


def read(path: Path) -> bytes:
    """The JSON of the snapshot in the file. Raises `FailureError`."""
    contents = read_contents(path)
    snapshot = merge(_moment(path, contents))
    unknown = snapshot.unknown | {"host": NOT_TOLD}
    if contents.timestamp is None:
        unknown["timestamp"] = f"{NOT_TOLD} without a history; when the file was written"
    return to_json(structs.replace(snapshot, unknown=unknown))


def _moment(path: Path, contents: Contents) -> Moment:
    status = SourceStatus(
        name=contents.sample.source,
        state="ok",
        reason=None,
        age_seconds=None,
        duration_seconds=None,
        samples_total=1,
        failures_total=0,
        restarts_total=0,
        cost={},
        facts={"file": path.name},
    )
    return Moment(
        seq=0,
        timestamp=path.stat().st_mtime if contents.timestamp is None else contents.timestamp,
        taken_at=TAKEN_AT,
        host="",
        samples=(contents.sample,),
        sources=(status,),
    )
