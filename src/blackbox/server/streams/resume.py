"""The first events of a stream: the newest one, or all that a client missed since its `Last-Event-ID`."""

from typing import NamedTuple

from blackbox.hub import Hub, Published
from blackbox.server.http.sse import comment, event
from blackbox.server.streams.snapshot_broadcast import BEFORE_FIRST, StreamFormat


class ResumedFrames(NamedTuple):
    """The first bytes of a stream."""

    data: bytes
    seq: int
    """Number of the last event in `data`, or of the last one the client had already."""
    sent: int
    """Events in `data`."""
    missed: int
    """Events between the client's last and the first in `data`, which are no longer kept."""


def resume(hub: Hub, stream_format: StreamFormat, last_event_id: int | None, resume_bytes: int) -> ResumedFrames:
    """The first bytes of a stream of this format. Raises `UnknownGpuError`.

    `resume_bytes` bounds the bodies replayed to a client that comes back with `last_event_id`.
    """
    latest = hub.latest
    if latest is None:
        return ResumedFrames(stream_format.framing.head(), BEFORE_FIRST, 0, 0)
    newest = latest.moment.seq
    if last_event_id is None or last_event_id > newest:  # an id above the newest is another start's
        return _open(stream_format, [latest], missed=0, seq=newest)
    replayed = _newest_within(hub.since(last_event_id), stream_format, resume_bytes)
    seq = replayed[-1].moment.seq if replayed else last_event_id
    return _open(stream_format, replayed, missed=seq - last_event_id - len(replayed), seq=seq)


def _open(stream_format: StreamFormat, moments: list[Published], missed: int, seq: int) -> ResumedFrames:
    text = b"".join(event(moment.moment.seq, moment.body(stream_format.shape)) for moment in moments)
    if missed:
        text = comment(f"missed {missed}") + text
    data = stream_format.framing.head() + (stream_format.framing.piece(text) if text else b"")
    return ResumedFrames(data, seq, len(moments), missed)


def _newest_within(moments: list[Published], stream_format: StreamFormat, bytes_max: int) -> list[Published]:
    """As many of the newest moments as fit, always one where there is one; oldest first."""
    kept: list[Published] = []
    size = 0
    for moment in reversed(moments):
        size += len(moment.body(stream_format.shape))
        if kept and size > bytes_max:
            break
        kept.append(moment)
    return kept[::-1]
