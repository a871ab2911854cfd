"""The unit as text; `integration/test_service.py` shows it to systemd."""

import configparser
from pathlib import Path

import pytest

from blackbox.cli.common import systemd_unit

PROGRAM = ["/opt/blackbox/bin/blackbox"]


def section(text: str, name: str = "Service") -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read_string(text)
    return dict(parser[name])


def system_unit(*words: str, program: list[str] = PROGRAM, loopback: bool = True) -> dict[str, str]:
    return section(systemd_unit.unit(program, words, system=True, loopback=loopback))


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("7000", "7000"),
        ("with space", '"with space"'),
        ("100%", "100%%"),
        ("$HOME", '"$$HOME"'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("", '""'),
        (";", '";"'),
    ],
)
def test_words_reach_the_server_as_they_are(word: str, written: str) -> None:
    assert system_unit(word)["ExecStart"] == f"/opt/blackbox/bin/blackbox serve {written}"


@pytest.mark.parametrize("words", [("--token-file", "/etc/bb/token"), ("--token-file=/etc/bb/token",)])
def test_secret_files_are_handed_over_by_systemd(words: tuple[str, ...]) -> None:
    unit = system_unit(*words)
    assert unit["LoadCredential"] == "token-file:/etc/bb/token"
    assert unit["ExecStart"].endswith(("--token-file %d/token-file", "--token-file=%d/token-file"))


def test_a_user_keeps_his_files_where_they_are() -> None:
    text = systemd_unit.unit(PROGRAM, ["--token-file", "/etc/bb/token"], system=False, loopback=True)
    assert section(text)["ExecStart"].endswith("serve --token-file /etc/bb/token")
    assert "LoadCredential" not in text
    assert "DynamicUser" not in text


def test_the_network_is_closed_unless_it_is_asked_for() -> None:
    assert system_unit()["IPAddressDeny"] == "any"
    assert "IPAddressDeny" not in system_unit(loopback=False)


def test_a_program_in_a_home_is_not_hidden_from_its_own_service() -> None:
    assert system_unit()["ProtectHome"] == "yes"
    assert system_unit(program=["/home" + "/somebody/venv/bin/blackbox"])["ProtectHome"] == "read-only"


def test_the_recording_is_for_the_service_alone_and_the_gpus_are_its_only_devices() -> None:
    unit = system_unit()
    assert unit["StateDirectoryMode"] == "0700"
    assert unit["DevicePolicy"] == "closed"
    assert unit["DeviceAllow"] == "char-nvidia* rw"
    assert unit["CapabilityBoundingSet"] == ""


def test_units_lie_where_systemd_looks(tmp_path: Path) -> None:
    given = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    user = systemd_unit.unit_path(system=False, environ=given, home=tmp_path)
    assert user == tmp_path / "config/systemd/user/blackbox.service"
    default = systemd_unit.unit_path(system=False, environ={}, home=tmp_path)
    assert default == tmp_path / ".config/systemd/user/blackbox.service"
    assert systemd_unit.unit_path(system=True, environ=given, home=tmp_path).parent == Path("/etc/systemd/system")


def test_an_installation_without_a_script_is_started_by_its_python(tmp_path: Path) -> None:
    python = tmp_path / "python"
    assert systemd_unit.own_program(str(python)) == [str(python), "-m", "blackbox"]
    (tmp_path / "blackbox").touch()
    assert systemd_unit.own_program(str(python)) == [str(tmp_path / "blackbox")]
