"""`blackbox serve --fleet` as a process: what it tells of its shipping, and that nothing of it is there without."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.clickhouse_rig import PASSWORD, WRITER, ClickHouse
from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import until, until_value


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return file


def health(server: RunningServer) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{server.url}/healthz") as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def metric(server: RunningServer, name: str) -> float | None:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    return None


def test_a_server_ships_its_events_at_once_and_tells_how_it_goes(
    nodes: list[ClickHouse], password_file: Path, home: Path
) -> None:
    flags = ("--fleet", nodes[0].url, "--fleet-user", WRITER, "--fleet-password-file", str(password_file))
    with RunningServer(home, "--demo", "--threshold", "1", *flags) as server:
        fleet = until_value(lambda: health(server)["fleet"], lambda fleet: fleet["rows_total"] > 0, lambda: server.log)
        assert (fleet["state"], fleet["reason"], fleet["url"]) == ("shipping", None, nodes[0].url)
        mine = f"machine = '{fleet['machine']}'"
        assert nodes[1].value(f"SELECT count() > 0 FROM blackbox.event WHERE {mine} AND kind = 'threshold'")
        assert until(lambda: nodes[1].rows(f"SELECT simulated FROM blackbox.machine FINAL WHERE {mine}")) == [
            {"simulated": True}
        ]
        assert metric(server, "blackbox_fleet_up") == 1
        assert (metric(server, "blackbox_fleet_rows_total") or 0) > 0
        assert PASSWORD not in server.log


def test_a_wrong_password_is_one_line_in_the_log_in_healthz_and_of_the_doctor(
    nodes: list[ClickHouse], home: Path
) -> None:
    file = home / "password"
    file.write_text("wr0ng")
    file.chmod(0o600)
    flags = ("--fleet", nodes[0].url, "--fleet-user", WRITER, "--fleet-password-file", str(file))
    with RunningServer(home, "--demo", *flags) as server:
        fleet = until_value(
            lambda: health(server)["fleet"], lambda fleet: fleet["state"] == "stopped", lambda: server.log
        )
        assert "password is incorrect" in fleet["reason"]
        assert server.log.count("nothing is shipped") == 1
        assert "wr0ng" not in server.log
        assert metric(server, "blackbox_fleet_up") == 0
    settings = {
        "BLACKBOX_FLEET": nodes[0].url,
        "BLACKBOX_FLEET_USER": WRITER,
        "BLACKBOX_FLEET_PASSWORD_FILE": str(file),
    }
    doctor = blackbox("doctor", "--json", env=environment(home, **settings))
    (finding,) = [found for found in map(json.loads, doctor.stdout.splitlines()) if found["subject"] == "fleet"]
    assert finding["level"] == "fail"
    assert "password is incorrect" in finding["text"]


def test_without_the_flag_there_is_no_import_no_thread_and_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with RunningServer(home, "--demo") as server:
        assert health(server).get("fleet") is None
        assert metric(server, "blackbox_fleet_up") is None
        assert "blackbox.server" in server.log, "imports are told"
        assert "blackbox.fleet" not in server.log
    assert list(home.rglob("fleet*")) == []


@pytest.mark.parametrize(
    "flags",
    [
        ("--fleet", "http://db.example.org:8123"),
        ("--fleet", "https://u:secret@db.example.org"),
        ("--fleet", "http://localhost:1", "--no-record"),
        ("--fleet", "http://localhost:1", "--fleet-users", "all"),
        ("--fleet", "http://localhost:1", "--fleet-database", "a b"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(flags: tuple[str, ...], home: Path) -> None:
    done = blackbox("serve", "0", "--demo", *flags, env=environment(home))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
