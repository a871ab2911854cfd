"""In which order minutes are shipped: those of now first, then the backlog, oldest first. Pure.

A minute belongs to one batch for good: batches are fixed runs of minutes, what was shipped ahead of the backlog stands
in the cursor, and the backlog leaves it out.
"""

from typing import NamedTuple

from msgspec import structs

from blackbox.fleet.cursor import Cursor
from blackbox.recorder.storage.tiers import period_start

AHEAD_FROM_BATCHES = 2
"""Waiting, so that the newest is shipped before them; with fewer the oldest is as good as the newest."""
AHEAD_MAX = 16
"""Ranges that are shipped ahead: a new one begins where a backlog is not gone and the engine was away once more. With
more the newest wait, too."""
CLOCK_SECONDS_MAX = 3600.0
"""Minutes that come again, since the clock was set back by less, are shipped as they were first. A silence that is
longer may be minutes that a wrong clock has skipped."""


class MinuteRange(NamedTuple):
    """Minutes that come next."""

    since: float
    until: float
    after: Cursor
    """Once they have arrived, or were not recorded."""


class Recorded(NamedTuple):
    """What a recording has."""

    first: float
    """Start of the oldest minute that is kept."""
    closed: float
    """End of the last closed minute."""


def newest(cursor: Cursor, recorded: Recorded, length: float) -> MinuteRange | None:
    """The batch of now, where older ones wait that were not shipped; None where there is none, or the oldest that waits
    is as good."""
    until = period_start(recorded.closed, length)
    since = until - length
    begun = recorded.first if cursor.shipped_until is None else cursor.shipped_until
    if since < max(recorded.first, begun + AHEAD_FROM_BATCHES * length):
        return None
    ahead = cursor.ahead
    if ahead and since < ahead[-1][1]:
        return None
    if ahead and since == ahead[-1][1]:
        ahead = (*ahead[:-1], (ahead[-1][0], until))
    elif len(ahead) < AHEAD_MAX:
        ahead = (*ahead, (since, until))
    else:
        return None
    return MinuteRange(since, until, structs.replace(cursor, shipped_until=begun, ahead=ahead))


def lost(cursor: Cursor, recorded: Recorded) -> MinuteRange | None:
    """The oldest minutes that were neither shipped nor kept; None, too, while all that is kept lies in a future that a
    wrong clock recorded."""
    if cursor.shipped_until is None or not cursor.shipped_until < recorded.first <= recorded.closed:
        return None
    until = min(recorded.first, _edge(cursor))
    return MinuteRange(cursor.shipped_until, until, joined(structs.replace(cursor, shipped_until=until)))


def oldest(cursor: Cursor, recorded: Recorded, length: float) -> MinuteRange | None:
    """The oldest batch that was not shipped; None where the next one is not closed yet."""
    since = recorded.first if cursor.shipped_until is None else cursor.shipped_until
    until = min(period_start(since, length) + length, _edge(cursor))
    if until > recorded.closed:
        return None
    return MinuteRange(since, until, joined(structs.replace(cursor, shipped_until=until)))


def without_silence(silent: MinuteRange, resumed: float | None, recorded: Recorded, length: float) -> Cursor:
    """The cursor where recording goes on behind an oldest stretch without minutes: `resumed` is the next one, if there
    is one. Minutes in between may come after all where the clock was wrong, so a long silence is remembered, from the
    batch on that it cut short."""
    cursor = silent.after
    assert cursor.shipped_until is not None
    until = period_start(recorded.closed if resumed is None else resumed, length)
    until = min(max(cursor.shipped_until, until), _edge(cursor))
    silence = cursor.silence
    if until - silent.since > CLOCK_SECONDS_MAX:
        silence = silent.since - length, until
    return joined(structs.replace(cursor, shipped_until=until, silence=silence))


def set_back(cursor: Cursor, closed: float) -> Cursor:
    """The cursor after the clock was set back: what is recorded now lies before what was shipped. The same cursor where
    that is not so."""
    ahead = tuple(one for one in cursor.ahead if one[1] - closed <= CLOCK_SECONDS_MAX)
    until = cursor.shipped_until
    if until is not None and until - closed > CLOCK_SECONDS_MAX:
        was_silent = cursor.silence is not None and cursor.silence[0] <= closed < cursor.silence[1]
        until = cursor.silence[0] if was_silent and cursor.silence is not None else closed
    if until == cursor.shipped_until and ahead == cursor.ahead:
        return cursor
    return structs.replace(cursor, shipped_until=until, ahead=ahead)


def joined(cursor: Cursor) -> Cursor:
    """Without the ranges that the backlog has reached."""
    until, ahead = cursor.shipped_until, cursor.ahead
    while until is not None and ahead and until >= ahead[0][0]:
        until, ahead = max(until, ahead[0][1]), ahead[1:]
    return structs.replace(cursor, shipped_until=until, ahead=ahead)


def _edge(cursor: Cursor) -> float:
    """Where the backlog ends."""
    return cursor.ahead[0][0] if cursor.ahead else float("inf")
