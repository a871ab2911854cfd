"""The exporter of the settings, and one line where there can be none."""

import sys
from pathlib import Path
from typing import Any

import pytest

from blackbox.errors import BlackboxError, FailureError, UsageError
from blackbox.hub import Hub
from blackbox.outputs.otlp import wiring
from blackbox.outputs.otlp.wiring import make_exporter
from blackbox.settings import Settings
from tests.clocks import ManualClock


def made(**settings: Any) -> Any:
    return make_exporter(Settings(otlp="http://localhost:4318", **settings), Hub(ManualClock()))


def test_settings_make_an_exporter() -> None:
    assert made().status().endpoint == "http://localhost:4318/v1/metrics"


def test_what_is_replayed_is_not_exported() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        made(replay=Path("dump"))


def test_headers_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="cannot read"):
        made(otlp_headers_file=tmp_path / "missing")


def test_where_the_messages_are_missing_one_line_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blackbox.outputs.otlp.exporter", None)
    with pytest.raises(BlackboxError) as refused:
        made()
    assert str(refused.value) == wiring.MISSING
