"""PyTorch memory snapshots: what they hold, as the object of `GET /vram`."""

from pathlib import Path

from msgspec import structs

from blackbox.cli.common.progress import reading
from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.sources.memory_snapshot.contents import NOT_TOLD
from blackbox.sources.memory_snapshot.moment import moment_of
from blackbox.sources.memory_snapshot.reading import read as read_contents


def read(path: Path) -> bytes:
    """The JSON of the snapshot in the file. Raises `FailureError`."""
    with reading(path) as progress:
        contents = read_contents(path, progress=progress)
    snapshot = merge(moment_of(path, contents))
    unknown = snapshot.unknown | {"host": NOT_TOLD}
    if contents.timestamp is None:
        unknown["timestamp"] = f"{NOT_TOLD} without a history; when the file was written"
    return to_json(structs.replace(snapshot, unknown=unknown))
