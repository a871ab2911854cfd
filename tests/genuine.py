"""Genuine captures, which lie beside the checkout and are not ours to ship."""

from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "shared" / "samples"


def sample(name: str) -> Path:
    """A capture; skips the test where it is missing."""
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"no {name} at hand: ../shared/samples is not beside the checkout")
    return path
