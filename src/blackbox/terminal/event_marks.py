"""How each kind of event is marked: a glyph of one cell, a word, and how urgent it is."""

from typing import Literal, NamedTuple, get_args

from blackbox.model.event import EventKind

Tone = Literal["alarm", "warn", "plain"]


class EventMark(NamedTuple):
    """One kind of event."""

    glyph: str
    word: str
    tone: Tone


MARKS: dict[EventKind, EventMark] = {
    "oom": EventMark("v", "out of memory", "alarm"),
    "crash": EventMark("x", "crash", "alarm"),
    "gpu_lost": EventMark("x", "GPU lost", "alarm"),
    "gpu_back": EventMark("o", "GPU back", "plain"),
    "source_lost": EventMark("x", "source lost", "warn"),
    "source_back": EventMark("o", "source back", "plain"),
    "xid": EventMark("!", "Xid", "warn"),
    "ecc": EventMark("!", "ECC", "warn"),
    "memory_growth": EventMark("^", "growth", "warn"),
    "memory_orphaned": EventMark("!", "orphaned", "warn"),
    "threshold": EventMark("^", "threshold", "plain"),
    "process_start": EventMark("+", "start", "plain"),
    "process_exit": EventMark("-", "end", "plain"),
}
assert MARKS.keys() == set(get_args(EventKind))
