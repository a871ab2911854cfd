"""Genuine captures, which lie beside the checkout and are not ours to ship."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"
SAMPLES = SHARED / "samples"
CASES = SHARED / "cases"


def sample(name: str) -> Path:
    """A capture; skips the test where it is missing."""
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"no {name} at hand: ../shared/samples is not beside the checkout")
    return path


def case(name: str) -> Path:
    """A small input that once went wrong; skips the test where it is missing."""
    path = CASES / name
    if not path.exists():
        pytest.skip(f"no case {name} at hand: ../shared/cases is not beside the checkout")
    return path
