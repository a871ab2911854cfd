"""Rounds of a program whose steps nothing marks: what it holds rises while it works, and falls back to what stays."""

from collections.abc import Sequence
from itertools import accumulate
from operator import sub

ROUNDS_MIN = 10
"""Fewer may be anything: layers of a model that is loaded, warm-up."""
KEPT_SHARE_MAX = 1 / 3
"""Of what a round works with, kept by it. A forward pass that a backward pass follows keeps more of each layer, and so
does a model that is loaded and converted piece by piece."""


def rounds(levels: Sequence[int]) -> list[int]:
    """Places among these levels where each round begins: the last ones of what stays, before it rises by more than half
    of the highest rise of all. Empty where there are too few, or they keep too much."""
    if not levels:
        return []
    stays = list(accumulate(reversed(levels), min))  # what it never falls below again
    stays.reverse()
    above = list(map(sub, levels, stays))
    highest = max(above)
    found: list[int] = []
    begins, is_working = 0, False
    for place, height in enumerate(above):
        if not height:
            begins, is_working = place, False
        elif not is_working and height > highest / 2:
            found.append(begins)
            is_working = True
    if len(found) < ROUNDS_MIN:
        return []
    kept = (levels[found[-1]] - levels[found[0]]) / (len(found) - 1)
    return found if kept <= KEPT_SHARE_MAX * highest else []
