"""The tests leave alone what belongs to the person who runs them, however that person's machine is set up."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from blackbox.cli.common.settings_file import config_path
from blackbox.paths import data_directory, runtime_directory
from blackbox.wire.address import agent_paths
from tests.private_state import PLACES, ROOT, WriteGuard, private
from tests.running_server import environment
from tests.waiting import PATIENCE_SECONDS

SECONDS_MAX = 10 * PATIENCE_SECONDS
"""Of a suite within the suite."""
CANARY = b"this is no recording of Blackbox, and no settings either"
TOUCHY = (
    "tests/integration/test_engine_discovery.py::test_the_answer_has_the_engine_of_a_process_that_the_driver_lists",
    "tests/integration/test_daemon.py::test_demo_says_that_nothing_is_real",
    "tests/integration/test_incident.py::test_a_dump_is_replayed_in_the_samplers_place",
    "tests/integration/test_doctor.py",
    "tests/unit/cli/test_settings_file.py",
)
"""Tests that start servers with a recorder, or ask for settings, without saying where these lie."""


def test_whatever_a_user_keeps_is_looked_for_in_the_private_folder(private_folder: Path) -> None:
    config, must_exist = config_path(None, os.environ)
    assert config is not None
    assert not must_exist
    uid = os.getuid()
    places = [data_directory(), runtime_directory(), config, Path(tempfile.gettempdir()), Path.home()]
    places += [Path(agent_paths(os.environ, uid)[0]), runtime_directory(os.environ | {"XDG_RUNTIME_DIR": ""}, 1)]
    assert [place for place in places if not place.is_relative_to(private_folder)] == []


def test_no_setting_of_the_user_reaches_the_tests(tmp_path: Path) -> None:
    user = {"BLACKBOX_PORT": "1", "STATE_DIRECTORY": "/s", "BLACKBOX_TORCH_PYTHON": "/p", "HOME": "/h", "LANG": "C"}
    assert private(user, tmp_path) == {name: str(tmp_path / place) for name, place in PLACES.items()} | {
        "BLACKBOX_TORCH_PYTHON": "/p",
        "LANG": "C",
        "XDG_CACHE_HOME": "/h/.cache",
        "PYENV_ROOT": "/h/.pyenv",
    }


def test_a_change_outside_the_allowed_folders_is_seen(tmp_path: Path) -> None:
    script = (
        "import sys, sqlite3; from pathlib import Path; from tests.private_state import WriteGuard\n"
        "allowed, beside = Path(sys.argv[1], 'allowed'), Path(sys.argv[1], 'beside')\n"
        "guard = WriteGuard([allowed]); guard.install()\n"
        "allowed.mkdir(); (allowed / 'file').write_text('x'); Path('/etc/passwd').read_text()\n"
        "assert guard.violations == []\n"
        "beside.mkdir(); (beside / 'file').write_text('x'); sqlite3.connect(beside / 'db').close()\n"
        "(beside / 'file').unlink(); print([line.split()[0] for line in guard.violations])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.stdout == "['os.mkdir', 'open', 'sqlite3.connect', 'os.remove']\n", done.stderr
    assert WriteGuard([tmp_path]).violations == []


@pytest.mark.slow
def test_a_users_own_files_stay_as_they_are(tmp_path: Path) -> None:
    """With settings that no test could run on, were they read, and a recording that no server could go on with."""
    user = environment(tmp_path / "home") | {
        name: str(tmp_path / "real" / place) for name, place in PLACES.items() if name != "TMPDIR"
    }
    user |= {"BLACKBOX_CONFIG": str(tmp_path / "real" / "none.toml"), "BLACKBOX_DATA_DIR": str(tmp_path / "real" / "x")}
    canaries = [Path(user[name], "blackbox", "canary") for name in PLACES if name != "TMPDIR"]
    canaries += [
        Path(user["XDG_CONFIG_HOME"], "blackbox", "config.toml"),
        Path(user["XDG_STATE_HOME"], "blackbox", "lock"),
    ]
    canaries += [Path(user["HOME"], ".config", "blackbox", "config.toml")]
    for canary in canaries:
        canary.parent.mkdir(parents=True, exist_ok=True)
        canary.write_bytes(CANARY)
    before = _tree(tmp_path / "real")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path / 'inner'}",
        *TOUCHY,
    ]
    done = subprocess.run(command, cwd=ROOT, env=user, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert _tree(tmp_path / "real") == before
    assert {canary.read_bytes() for canary in canaries} == {CANARY}


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below with its size and the time of its last change."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}
