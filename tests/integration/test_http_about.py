"""Blackbox about itself: settings with their origin, its cost, what processes let it see."""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox import hub
from blackbox.cli.common.settings_file import settings_with_origins
from blackbox.client import Client
from blackbox.server.api.about import DEFAULT, in_force
from blackbox.settings import Settings
from tests.moments import SILENT, TRAINER, machine
from tests.serving import Serving


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as made:
        made.publish(machine())
        yield made


def test_every_setting_stands_with_its_origin(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('streams_max = "7"\nthreshold = ["80", "95"]\n')
    arguments = Namespace(config=str(config), port="0")
    settings, origins = settings_with_origins(
        arguments, {"BLACKBOX_INTERVAL": "2s", "BLACKBOX_TOKEN_FILE": "/run/token"}
    )
    rows = {row.name: row for row in in_force(settings, origins).settings}
    assert (rows["port"].value, rows["port"].origin) == (0, "--port")
    assert (rows["interval_seconds"].value, rows["interval_seconds"].origin) == (2.0, "BLACKBOX_INTERVAL")
    assert (rows["streams_max"].value, rows["streams_max"].origin) == (7, f"{config}: streams_max")
    assert (rows["token_file"].value, rows["no_auth"].value) == ("/run/token", False)
    assert rows["no_auth"].origin == DEFAULT
    are_defaults = [row.origin == DEFAULT for row in in_force(settings, origins).settings]
    assert are_defaults == sorted(are_defaults)


def test_no_password_is_shown() -> None:
    settings = Settings(source_options={"engine": ("http://user:secret@host:8000",)}, cors_origins=("http://a:b@c",))
    shown = str(in_force(settings, {}))
    assert "secret" not in shown
    assert "a:b" not in shown
    assert "http://host:8000" in shown


def test_settings_are_told_over_http(serving: Serving) -> None:
    rows = {row.name: row for row in Client(serving.url).settings()}
    assert {name for name in Settings.__struct_fields__ if name != "source_options"} <= rows.keys()
    assert rows["port"].value == 0


def test_what_the_server_costs_is_told(serving: Serving) -> None:
    client = Client(serving.url)
    first, second = client.status(), client.status()
    assert first.pid == os.getpid()
    assert 0 < first.cpu_seconds <= second.cpu_seconds
    assert first.resident_bytes > 1_000_000
    assert second.requests_total > first.requests_total


def test_what_processes_let_us_see_is_told(serving: Serving) -> None:
    rows = Client(serving.url).coverage(gpu=0)
    told = {row.pid: row for row in rows}
    assert told[SILENT].sources == ()
    assert set(told[TRAINER].missing) | set(told[TRAINER].told) == set(told[SILENT].missing) | set(told[SILENT].told)


def test_what_processes_let_us_see_is_worked_out_once_a_sample(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    latest = serving.hub.latest
    assert latest is not None
    serving.hub.publish(latest.moment)
    merges: list[object] = []
    real = hub.merged
    monkeypatch.setattr(hub, "merged", lambda *asked: merges.append(asked) or real(*asked))
    assert serving.ask("/vram/coverage").body == serving.ask("/vram/coverage").body
    assert len(merges) == 1
