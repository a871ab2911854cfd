"""Whether numbers rise steadily, and how fast: Theil-Sen's slope with Sen's confidence interval, and three conditions
that tell a trend from steps, bursts and cycles.

The slope alone is not enough: its interval assumes independent errors, which memory does not have. A program that loads
its weights and then its cache has a significant slope and no trend.
"""

from collections.abc import Sequence
from itertools import accumulate, combinations, pairwise
from math import sqrt

from msgspec import Struct

POINTS_MIN = 18
"""Three in each section."""
POINTS_MAX = 60
"""Slopes grow with the square: 60 points have 1,770, about a millisecond."""
NOTEWORTHY_BYTES = 64 * 1024 * 1024
"""Of memory: three segments of PyTorch's allocator. A smaller rise is nothing to speak of."""
NORMAL_QUANTILE = 1.96
"""Of the 95 % interval."""
SECTIONS = 6
SECTION_SHARE_MIN = 0.25
"""Each section must rise by at least this share of an even rise: what rose once and stands still has no trend."""
FALL_SHARE_MAX = 0.25
"""No fall may undo more than this share of the rise: what comes back down, in a cycle or by chance, has no trend."""
JUMPS = 3
JUMPS_SHARE_MAX = 0.5
"""The largest jumps together must make less than this share of the rise: a few steps are no trend."""

Point = tuple[float, float]
"""(seconds, value)."""


class Trend(Struct, frozen=True, kw_only=True):
    """A steady rise, in units of the values per second."""

    rate: float
    """Median of the slopes between all pairs of points."""
    rate_low: float
    rate_high: float
    """The 95 % confidence interval of the rate."""
    rise: float
    """Between the medians of the first and the last sixth."""
    seconds: float
    """From the first point to the last."""
    points: int


def rising_trend(points: Sequence[Point]) -> Trend | None:
    """The trend in at most `POINTS_MAX` points, oldest first; None where they do not rise steadily."""
    assert len(points) <= POINTS_MAX
    if len(points) < POINTS_MIN:
        return None
    values = [value for _, value in points]
    levels = _levels(values)
    rise = levels[-1] - levels[0]
    if rise <= 0 or not _is_steady(values, levels, rise):
        return None
    slopes = sorted(
        (later - earlier) / (end - start) for (start, earlier), (end, later) in combinations(points, 2) if end > start
    )
    low, high = _interval(slopes, len(points))
    if low <= 0:
        return None
    return Trend(
        rate=_median(slopes),
        rate_low=low,
        rate_high=high,
        rise=rise,
        seconds=points[-1][0] - points[0][0],
        points=len(points),
    )


def _levels(values: Sequence[float]) -> list[float]:
    """The median of each section."""
    ends = [len(values) * section // SECTIONS for section in range(SECTIONS + 1)]
    return [_median(sorted(values[start:end])) for start, end in pairwise(ends)]


def _median(ordered: Sequence[float]) -> float:
    """Of sorted numbers. The standard library's would bring fractions and decimals into every start of the server."""
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _is_steady(values: Sequence[float], levels: Sequence[float], rise: float) -> bool:
    even = rise / (SECTIONS - 1)
    if any(later - earlier < SECTION_SHARE_MIN * even for earlier, later in pairwise(levels)):
        return False
    highest = list(accumulate(values, max))
    if max(top - value for top, value in zip(highest, values, strict=True)) > FALL_SHARE_MAX * rise:
        return False
    jumps = sorted(later - earlier for earlier, later in pairwise(highest))
    return sum(jumps[-JUMPS:]) < JUMPS_SHARE_MAX * (highest[-1] - highest[0])


def _interval(slopes: Sequence[float], points: int) -> tuple[float, float]:
    """Sen's interval: as many slopes from either end as Kendall's statistic scatters."""
    scatter = NORMAL_QUANTILE * sqrt(points * (points - 1) * (2 * points + 5) / 18)
    place = max(0, int((len(slopes) - scatter) / 2))
    return slopes[place], slopes[-1 - place]
