"""The recording is its owner's: another user of the machine reads none of it."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.cli.commands.doctor_checks import Machine, recording
from blackbox.model.sample import Sample
from blackbox.recorder.dumps.file import new_head, write_dump
from blackbox.recorder.dumps.keeper import DumpKeeper
from blackbox.recorder.storage.directory import DEMO_DIRECTORY, DUMPS_DIRECTORY
from blackbox.settings import Settings
from tests import incidents
from tests.recordings import recorded
from tests.waiting import PATIENCE_SECONDS

STRANGER = 65534
CLOSE_SECONDS = PATIENCE_SECONDS
READ = """
import os, sys
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                print(name, len(file.read(1)))
        except OSError:
            pass
"""


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that every user may enter."""
    if os.getuid() != 0:
        pytest.skip("only root can read as another user")
    for folder in (tmp_path, *tmp_path.parents):
        folder.chmod(0o755)
        if folder.name.startswith("pytest-of-"):
            break
    return tmp_path


def read_by_a_stranger(directory: Path) -> set[str]:
    """Names of the files of which another user reads a byte."""
    command = [sys.executable, "-c", READ, str(directory), str(STRANGER)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    return {line.split()[0] for line in done.stdout.splitlines()}


def record(directory: Path) -> set[str]:
    """Records and keeps a dump; the files a stranger could read meanwhile and afterwards."""
    moments = incidents.leak()[-40:]
    with recorded(directory, moments) as recorder:
        dumps = DumpKeeper(directory / DUMPS_DIRECTORY, recorder.recording, lambda: moments[-1].timestamp, 0)
        for moment in moments:
            dumps.take(moment)
        dumps.close(CLOSE_SECONDS)
        seen = read_by_a_stranger(directory)
        names = {path.suffix for path in directory.rglob("*") if path.is_file()}
        assert {".db", ".db-wal", ".bbdump"} <= names
    return seen | read_by_a_stranger(directory)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_of_files(directory: Path) -> set[int]:
    return {mode_of(path) for path in directory.rglob("*") if path.is_file()}


@pytest.mark.fault(55)
def test_row_55_a_directory_that_is_not_there_is_made_private_level_by_level(place: Path) -> None:
    data = place / "state" / "blackbox" / DEMO_DIRECTORY
    assert record(data) == set()
    assert {mode_of(folder) for folder in (data, *data.parents[:2], data / DUMPS_DIRECTORY)} == {0o700}


@pytest.mark.fault(55)
def test_row_55_where_a_demo_or_systemd_made_the_directory_it_is_closed(place: Path) -> None:
    data = place / "blackbox"
    (data / DEMO_DIRECTORY).mkdir(parents=True)
    (data / "lock").write_text("1")
    (data / "full-20270115T080000Z-0.db").write_bytes(b"of an earlier version")
    (data / DUMPS_DIRECTORY).mkdir()
    (data / DUMPS_DIRECTORY / "oom-1-20270115T080000Z.bbdump").write_bytes(b"likewise")
    assert mode_of(data) == 0o755
    assert read_by_a_stranger(data) != set()
    assert record(data) == set()
    assert mode_of(data) == mode_of(data / DUMPS_DIRECTORY) == 0o700
    assert modes_of_files(data) == {0o600}


@pytest.mark.fault(55)
@pytest.mark.parametrize("owner", [0, STRANGER])
def test_row_55_a_directory_that_holds_other_things_or_is_anothers_stays_open_and_its_files_closed(
    place: Path, owner: int
) -> None:
    data = place / "shared"
    data.mkdir(mode=0o755)
    (data / "readme.txt").write_text("for everyone")
    os.chown(data, owner, owner)
    assert record(data) == {"readme.txt"}
    assert mode_of(data) == 0o755


def test_a_link_in_the_directory_does_not_change_what_it_leads_to(place: Path) -> None:
    elsewhere = place / "elsewhere.txt"
    elsewhere.write_text("for everyone")
    data = place / "data"
    data.mkdir()
    (data / "minutes-20270115T080000Z-7.db").symlink_to(elsewhere)
    with recorded(data, incidents.leak()[-1:]):
        assert mode_of(elsewhere) == 0o644


def test_a_dump_made_by_hand_is_private_too(place: Path) -> None:
    write_dump(place / "mine.bbdump", new_head("made by hand", 0, 1), [], [])
    assert read_by_a_stranger(place) == set()


def test_the_doctor_says_what_is_open_and_how_to_close_it(place: Path) -> None:
    machine = Machine(
        sample=lambda: Sample(source="nvml", taken_at=0),
        vendor="nvidia",
        settings=Settings(data_dir=place / "data"),
        environ={},
    )
    assert recording(machine).level == "ok"
    with recorded(place / "data", incidents.leak()[-1:]):
        pass
    assert recording(machine).level == "ok"
    (place / "data").chmod(0o755)
    assert recording(machine).level == "ok", "no file in it is open"
    opened = next((place / "data").glob("*.db"))
    opened.chmod(0o644)
    finding = recording(machine)
    assert finding.level == "warn"
    assert opened.name in finding.text
    assert finding.remedy is not None
    assert f"chmod -R go-rwx {place / 'data'}" in finding.remedy
