"""What a stream begins with: the newest event, or all those a returning client missed."""

from typing import NamedTuple

from blackbox.hub import Hub, Published
from blackbox.server.http.sse import comment, event
from blackbox.server.streams.snapshot_broadcast import BEFORE_FIRST, Kind


class Opening(NamedTuple):
    data: bytes
    seq: int
    """The last event in `data`, or the one the client had already."""
    sent: int
    missed: int
    """Events between the client's last and the first in `data`, which are no longer kept."""


def opening(hub: Hub, kind: Kind, last_event_id: int | None, resume_bytes: int) -> Opening:
    """The first bytes of a stream of this kind. Raises `UnknownGpuError`.

    `resume_bytes` bounds the bodies replayed to a client that comes back with `last_event_id`.
    """
    latest = hub.latest
    if latest is None:
        return Opening(kind.framing.opening(), BEFORE_FIRST, 0, 0)
    newest = latest.moment.seq
    if last_event_id is None or last_event_id > newest:  # an id above the newest is another start's
        return _open(kind, [latest], missed=0, seq=newest)
    replayed = _newest_within(hub.since(last_event_id), kind, resume_bytes)
    seq = replayed[-1].moment.seq if replayed else last_event_id
    return _open(kind, replayed, missed=seq - last_event_id - len(replayed), seq=seq)


def _open(kind: Kind, moments: list[Published], missed: int, seq: int) -> Opening:
    text = b"".join(event(moment.moment.seq, moment.body(kind.shape)) for moment in moments)
    if missed:
        text = comment(f"missed {missed}") + text
    data = kind.framing.opening() + (kind.framing.piece(text) if text else b"")
    return Opening(data, seq, len(moments), missed)


def _newest_within(moments: list[Published], kind: Kind, bytes_max: int) -> list[Published]:
    """As many of the newest moments as fit, always one where there is one; oldest first."""
    kept: list[Published] = []
    size = 0
    for moment in reversed(moments):
        size += len(moment.body(kind.shape))
        if kept and size > bytes_max:
            break
        kept.append(moment)
    return kept[::-1]
