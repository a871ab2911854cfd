"""JSON of a list of rows, of which most are those of the list before."""

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import accumulate

import msgspec

SPLICED_SHARE_MAX = 0.3
"""Of the rows, that are put in the place of others; where more have changed the list is made anew, in one go."""
_encoder = msgspec.json.Encoder()


class RowTexts:
    """JSON of some rows, which are immutable, as a list. For later rows of which it is known that those at other places
    than some are the same objects, it is made of this one's."""

    def __init__(self, rows: Sequence[object], whole: bytes | None = None, lengths: list[int] | None = None) -> None:
        """`lengths`: of each row's text in `whole`; None where they are not known."""
        self._rows = rows
        self._lengths_known = lengths
        self.whole = _encoder.encode(rows) if whole is None else whole

    def __len__(self) -> int:
        """Rows."""
        return len(self._rows)

    def changed(self, rows: Sequence[object], places: Collection[int]) -> "RowTexts":
        """The texts of as many other rows, of which only those at these places are others."""
        if not places:
            return self
        if len(places) > SPLICED_SHARE_MAX * len(rows):
            return RowTexts(rows)
        lengths, starts, view = self._lengths.copy(), self._starts, memoryview(self.whole)
        pieces: list[bytes | memoryview] = []
        at = 0
        for place in sorted(places):
            text = _encoder.encode(rows[place])
            pieces += view[at : starts[place]], text
            at = starts[place] + lengths[place]
            lengths[place] = len(text)
        pieces.append(view[at:])
        return RowTexts(rows, b"".join(pieces), lengths)

    @cached_property
    def _lengths(self) -> list[int]:
        """No text of a row has a line break in it."""
        known = self._lengths_known
        return [*map(len, _encoder.encode_lines(self._rows).split(b"\n"))][:-1] if known is None else known

    @cached_property
    def _starts(self) -> list[int]:
        """Where in `whole` each row's text begins: behind the bracket, and behind each comma."""
        return [*accumulate((length + 1 for length in self._lengths), initial=1)]
