"""JSON of a list of rows, of which most are those of the list before, or differ in amounts alone."""

from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import accumulate

import msgspec
from msgspec import Raw, Struct, structs

SPLICED_SHARE_MAX = 0.3
"""Of the rows, that are put in the place of others; where more have changed the list is made anew, in one go."""
AMOUNT = Raw(b"\0")
"""Stands for an amount: JSON has no such byte."""
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


class AmountTexts:
    """JSON of rows, which are immutable, as a list; and of rows that differ from them in amounts alone, one in each."""

    def __init__(self, rows: Sequence[Struct], keys: Sequence[str], places: Sequence[int]) -> None:
        """`keys`: which of each row have the amount; `places`: where it stands among all amounts."""
        marked = [structs.replace(row, **dict.fromkeys(keys, AMOUNT)) for row in rows]
        self._between = _encoder.encode(marked).split(bytes(AMOUNT))
        self._places = [place for place in places for _ in keys]

    def whole(self, amounts: Sequence[bytes]) -> bytes:
        """The JSON with other amounts, as `digits` tells them."""
        pieces = [b""] * (2 * len(self._between) - 1)
        pieces[::2] = self._between
        pieces[1::2] = [amounts[place] for place in self._places]
        return b"".join(pieces)


def digits(amounts: Sequence[int]) -> list[bytes]:
    """Each of the amounts in JSON."""
    return _encoder.encode(amounts)[1:-1].split(b",")
