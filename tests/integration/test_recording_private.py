"""The recording is its owner's: another user of the machine reads none of it."""

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from blackbox.cli.commands.doctor_checks import Machine, recording
from blackbox.errors import FailureError
from blackbox.model.sample import Sample
from blackbox.recorder import Recording
from blackbox.recorder.dumps.file import new_head, write_dump
from blackbox.recorder.dumps.keeper import DumpKeeper
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.directory import (
    DEMO_DIRECTORY,
    DUMPS_DIRECTORY,
    LOCK_NAME,
    DirectoryLock,
    HeldError,
    chunk_file,
)
from blackbox.recorder.storage.tiers import TIERS, period_start
from blackbox.settings import Settings
from tests import incidents
from tests.recordings import recorded
from tests.two_users import open_folder
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
def place() -> Iterator[Path]:
    """A directory that every user may enter; not one of pytest's, which another run of it closes meanwhile."""
    if os.getuid() != 0:
        pytest.skip("only root can read as another user")
    with open_folder() as folder:
        yield folder


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


LURE = """
import os, sqlite3, sys
folder, name, uid = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.setgid(uid); os.setuid(uid); os.umask(0)
os.chdir(folder)
for one in sys.argv[4:]:
    os.close(os.open(name + one, os.O_CREAT | os.O_RDWR, 0o666))
"""
FIRST = incidents.leak()[-40].timestamp
NEXT = {
    tier.name: chunk_file(Path(), tier.name, period_start(FIRST, tier.chunk_seconds), 0).path.name for tier in TIERS
}


def lay_out(folder: Path, name: str, *suffixes: str) -> None:
    """Files of a stranger that everybody may read and write, with the names of files that will be recorded."""
    subprocess.run([sys.executable, "-c", LURE, folder, name, str(STRANGER), *suffixes], check=True)


@pytest.fixture
def shared(place: Path) -> Path:
    """A directory as /tmp: everybody makes files in it, and nobody replaces another's."""
    data = place / "shared"
    data.mkdir()
    data.chmod(0o1777)
    (data / "readme.txt").write_text("for everyone")
    return data


@pytest.mark.fault(66)
@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm"), ("-wal",), ("-journal",)])
@pytest.mark.parametrize("tier", sorted(NEXT))
def test_row_66_files_that_a_stranger_put_where_the_recording_goes_are_not_written(
    tier: str, suffixes: tuple[str, ...], shared: Path
) -> None:
    with closing(ChunkWriter(shared / "model.db", 1)):
        pass
    lay_out(shared, NEXT[tier], *suffixes)
    if "" in suffixes:  # an empty recording, which anybody can make
        (shared / NEXT[tier]).write_bytes((shared / "model.db").read_bytes())
    (shared / "model.db").unlink()
    written = set(suffixes) - {"-shm"}  # in which readers keep an index, too
    before = {suffix: (shared / (NEXT[tier] + suffix)).read_bytes() for suffix in written}
    record(shared)
    assert {suffix: (shared / (NEXT[tier] + suffix)).read_bytes() for suffix in written} == before
    assert Recording(shared).span() is not None, "it is recorded beside them"


@pytest.mark.fault(66)
def test_row_66_a_database_that_a_strangers_link_leads_to_is_not_changed(shared: Path, place: Path) -> None:
    precious = place / "precious.db"
    with closing(sqlite3.connect(precious)) as database:
        database.execute("CREATE TABLE mine (x)")
    before = precious.read_bytes()
    for name in NEXT.values():
        (shared / name).symlink_to(precious)
        os.chown(shared / name, STRANGER, STRANGER, follow_symlinks=False)
    record(shared)
    assert precious.read_bytes() == before
    assert Recording(shared).span() is not None


@pytest.mark.fault(66)
@pytest.mark.parametrize("by_link", [True, False])
def test_row_66_no_dump_goes_into_a_strangers_directory(by_link: bool, shared: Path, place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    dumps = shared / DUMPS_DIRECTORY
    if by_link:
        dumps.symlink_to(elsewhere)
    else:
        dumps.mkdir()
    os.chown(dumps, STRANGER, STRANGER, follow_symlinks=False)
    moments = incidents.leak()[-40:]
    with recorded(shared, moments) as recorder:
        keeper = DumpKeeper(dumps, recorder.recording, lambda: moments[-1].timestamp, 0)
        for moment in moments:
            keeper.take(moment)
        keeper.close(CLOSE_SECONDS)
    assert list(dumps.iterdir()) == []


@pytest.mark.fault(66)
def test_row_66_a_pipe_in_the_locks_place_holds_nobody_up(shared: Path) -> None:
    os.mkfifo(shared / LOCK_NAME)
    code = "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDWR); fcntl.flock(fd, 2); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, shared / LOCK_NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(FailureError, match="lock"):
            DirectoryLock(shared)
        holder.kill()


@pytest.mark.fault(66)
def test_row_66_databases_of_others_beside_the_recording_are_left_as_they_are(shared: Path) -> None:
    others = [shared / name for name in ("inventory.db", "inventory.db-wal", "inventory.db.new", "a-b-c.db")]
    for other in others:
        other.write_bytes(b"of another program")
        other.chmod(0o644)
    record(shared)
    assert [(other.read_bytes(), mode_of(other)) for other in others] == [(b"of another program", 0o644)] * len(others)


@pytest.mark.fault(66)
def test_row_66_who_holds_the_lock_is_a_number_or_unknown(shared: Path) -> None:
    (shared / LOCK_NAME).write_bytes(b"\x1b[2J1")
    with (shared / LOCK_NAME).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(HeldError, match="process of unknown pid records"):
            DirectoryLock(shared)
