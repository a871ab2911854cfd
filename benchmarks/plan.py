"""How long to measure, and what a measurement hands back."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct


class Plan(NamedTuple):
    """How much time a run may take."""

    rounds: int
    """Rounds of each side, taken in turns; the median counts."""
    seconds: float
    """Length of one round."""
    long: bool
    """Also the sizes that take minutes."""


class Row(Struct, frozen=True, kw_only=True):
    """One line of the table: our figure beside the peer's, both in `unit`."""

    figure: str
    unit: str
    ours: float | None = None
    peer: str = ""
    theirs: float | None = None
    target: str = ""
    met: bool | None = None
    """None: not judged."""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours / theirs."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None


class Benchmark(NamedTuple):
    """One figure of the design."""

    name: str
    figure: str
    """What is measured and how, in a sentence or two for the reader of the table."""
    run: Callable[[Plan], list[Row]]
