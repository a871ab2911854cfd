"""How long what is kept, and how finely: the same for the numbers and for the moments beside them."""

import math
from typing import NamedTuple

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60.0, 3600.0, 86_400.0


class Tier(NamedTuple):
    """One fineness of recording. Every tier is written as time passes; thinning is the deletion of old chunks."""

    name: str
    step_seconds: float
    """Period of which one row and the last moment are kept; 0 to keep every moment."""
    block_seconds: float
    """Rows packed together: more pack better, fewer are read faster."""
    chunk_seconds: float
    """One file: what is deleted at once, and what a damaged file costs at most."""
    keep_seconds: float | None
    """Age at which a chunk goes; None to keep it as long as there is room."""


FULL = Tier("full", 0.0, MINUTE_SECONDS, 10 * MINUTE_SECONDS, HOUR_SECONDS)
MINUTE = Tier("minute", MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS, 30 * DAY_SECONDS)
HOUR = Tier("hour", HOUR_SECONDS, DAY_SECONDS, 30 * DAY_SECONDS, None)
TIERS = (FULL, MINUTE, HOUR)
"""From fine to coarse; each but the first is made from the one before."""


def period_start(time: float, seconds: float) -> float:
    """Start of the period, counted from 1970, that `time` lies in."""
    return math.floor(time / seconds) * seconds
