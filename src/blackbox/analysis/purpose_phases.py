"""Which part of a training step each entry of a trace belongs to: a byte an entry, so that a million are searched at
once."""

import re
from collections.abc import Iterable, Iterator

from blackbox.analysis.purpose_frames import BACKWARD, CLEARING, FORWARD, INPUT, MAIN, OPTIMIZER, SETUP
from blackbox.analysis.trace.entries import places_of

PARTS: tuple[str | None, ...] = (None, MAIN, FORWARD, BACKWARD, OPTIMIZER, CLEARING, INPUT, SETUP)
"""By their codes; None: not known."""
CODES = {part: code for code, part in enumerate(PARTS)}
_RUNS = re.compile(b"|".join(rb"%c[\0%c]*+" % (code, code) for code in range(1, len(PARTS))))
"""Entries of one part, and those between them of which nothing is known."""


class Phases:
    """By entry, a code or a name."""

    def __init__(self, codes: bytearray) -> None:
        self.codes = codes

    def __getitem__(self, place: int) -> str | None:
        return PARTS[self.codes[place]]

    def __setitem__(self, place: int, part: str | None) -> None:
        self.codes[place] = CODES[part]

    def has_any(self, parts: Iterable[str]) -> bool:
        """Whether some entry is of one of these."""
        return any(CODES[part] in self.codes for part in parts)

    def first(self, parts: Iterable[str]) -> int | None:
        """The first entry of one of these."""
        found = [place for part in parts if (place := self.codes.find(CODES[part])) >= 0]
        return min(found, default=None)

    def of(self, part: str, places: Iterable[int]) -> list[int]:
        """Those of these entries that are of it."""
        code, codes = CODES[part], self.codes
        return [place for place in places if codes[place] == code]

    def others(self, part: str) -> list[int]:
        """The entries of every part but this."""
        return places_of(bytes(self.codes), set(range(1, len(PARTS))) - {CODES[part]})

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """The parts in turn: name, the first entry, and the first one of the next part."""
        for found in _RUNS.finditer(self.codes):
            yield PARTS[self.codes[found.start()]] or MAIN, found.start(), found.end()
