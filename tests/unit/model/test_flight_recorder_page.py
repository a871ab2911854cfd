"""docs/flight-recorder.md names everything that can be asked, and everything that can happen."""

from pathlib import Path
from typing import get_args

import pytest

from blackbox.model.endpoints import ENDPOINTS, NO_RECORDING, NOT_RECORDED
from blackbox.model.event import EventKind

RECORDED = [
    endpoint.path for endpoint in ENDPOINTS if endpoint.statuses.get(404) in (NO_RECORDING[404], NOT_RECORDED[404])
]
"""Paths of the endpoints that need a recording."""
PAGE = (Path(__file__).parents[3] / "docs" / "flight-recorder.md").read_text()


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_every_kind_of_event_is_explained(kind: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert any(f"`{kind}`" in row.split("|")[1] for row in rows)


@pytest.mark.parametrize("path", RECORDED)
def test_every_question_is_listed(path: str) -> None:
    assert f"GET {path}" in PAGE
