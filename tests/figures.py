"""Figures as the texts of Python have them, for the page's own test: python -m tests.figures"""

import json
import random
from collections.abc import Iterator
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
    }


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
