"""Figures as the texts of Python have them, for the page's own test: python -m tests.figures"""

import json
import random
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

from blackbox.model.text import rate, size

FILE = Path(__file__).parents[1] / "web" / "test" / "figures.json"
"""Read by `web/test/format.test.ts`."""
UNITS = (1, 1 << 10, 1 << 20, 1 << 30)
COUNT = 250
"""Of each kind."""
STEPS = 20
"""A tie between two tenths is at each of these parts of a unit, or at none."""


def figures() -> dict[str, list[tuple[float, str]]]:
    """What is told, and how, by kind. Up to a tebibyte, from which on the page stays with gibibytes."""
    chance = random.Random(20261130)
    return {
        "bytes": [(count, size(count)) for count in dict.fromkeys(_sizes(chance))],
        "ratePerMinute": [(one, f"+{rate(one)}") for one in (chance.uniform(0.1, 1 << 30) for _ in range(COUNT))],
        "percent": [(share, f"{share * 100:.0f} %") for share in (chance.randrange(801) / 800 for _ in range(COUNT))],
        "tenths": [(value, str(tenths_of(value))) for value in dict.fromkeys(_around_zero(chance))],
    }


def tenths_of(value: float) -> Decimal:
    """The nearest tenth of exactly that number, of two the even one, as decimal arithmetic has it."""
    return Decimal(value).quantize(Decimal("0.1"), ROUND_HALF_EVEN)


def _around_zero(chance: random.Random) -> Iterator[float]:
    """Every tie near zero, of both signs, and as many others."""
    for quarters in range(1, COUNT):
        yield from (quarters / 4, -quarters / 4, chance.uniform(-100, 100))


def _sizes(chance: random.Random) -> Iterator[int]:
    for unit in UNITS:
        for _ in range(COUNT):
            near = chance.randrange(1024 * STEPS) * unit // STEPS
            yield near + chance.choice((-1, 0, 0, 0, 1)) if near else 0
            yield chance.randrange(1024 * unit)


def main() -> None:
    """Writes the file."""
    FILE.write_text(json.dumps(figures(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
