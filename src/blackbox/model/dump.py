"""The dumps that are kept beside a recording, as they are listed."""

from msgspec import Struct


class DumpInfo(Struct, frozen=True, kw_only=True):
    """A dump: the minutes around an event, kept in a file beside the recording."""

    name: str
    """Of its file; `GET /vram/report?dump=` tells what is in it."""
    kind: str
    """Kind of the event that it was made of, or another word where it was made by hand."""
    timestamp: float
    """Unix seconds of the event."""
    pid: int | None
    """Process that the event happened to."""
    size_bytes: int
    """Of the file; for those who see inside all programs."""
    unknown: dict[str, str] = {}
    """Key of this object -> why its value is not told."""


class DumpList(Struct, frozen=True, kw_only=True):
    """Answer of `GET /vram/dumps`."""

    dumps: tuple[DumpInfo, ...]
    """The newest that fit, oldest first."""
    simulated: bool = False
    """Of the simulated machine: no figure here is real."""
