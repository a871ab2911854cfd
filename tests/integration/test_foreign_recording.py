"""A data directory that may come from anyone, read by the commands that a person points at it."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from blackbox.cli import main
from blackbox.cli.common import recording_arguments
from blackbox.recorder import Recording
from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.frames import Frame, pack_frames
from tests import incidents
from tests.recordings import recorded
from tests.running_server import blackbox, environment
from tests.waiting import PATIENCE_SECONDS

COMMANDS = (
    ["report", "DIRECTORY", "--text"],
    ["report", "--data-dir", "DIRECTORY", "--text"],
    ["dump", "--data-dir", "DIRECTORY", "-o", "minutes.bbdump"],
    ["export", "--data-dir", "DIRECTORY", "--from", "0"],
    ["export", "--data-dir", "DIRECTORY", "--from", "0", "--step", "full"],
    ["export", "--data-dir", "DIRECTORY", "--from", "0", "--what", "events"],
)
"""All that open a directory."""
SMALL = 240 << 20
"""Address space: Python with all that it loads, and not as much again."""
BOMB_BYTES = 250 << 20
"""Of one moment, as it is unpacked: just less than any is refused for; as it lies on the disk, some kilobytes."""
WITHIN = f"""
import sys
from blackbox.cli import main
from blackbox.cli.common import recording_arguments
recording_arguments.MEMORY_BYTES_MAX = {SMALL}
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    with recorded(directory, incidents.leak()[-20:]):
        pass
    return directory


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def of(directory: Path, words: list[str]) -> list[str]:
    return [str(directory) if word == "DIRECTORY" else word for word in words]


@pytest.mark.parametrize("words", COMMANDS)
def test_it_is_read_within_limits_which_end_with_the_reading(
    words: list[str], data: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
    met: list[tuple[int, int]] = []

    def spied(method: str) -> None:
        read = getattr(Recording, method)

        def look(*arguments: object, **named: object) -> object:
            met.append((resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CPU)[0]))
            return read(*arguments, **named)

        monkeypatch.setattr(Recording, method, look)

    for method in ("span", "events", "moments", "numbers"):
        spied(method)
    assert main(of(data, words)) == 0
    assert capsysbinary.readouterr().out
    assert met
    assert all(memory == recording_arguments.MEMORY_BYTES_MAX and cpu > 0 for memory, cpu in met)
    assert before == (resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU))


@pytest.fixture(scope="module")
def bomb(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with a moment that unpacks to a quarter of a GiB."""
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns("dumps"))
    span = Recording(copy).span()
    assert span is not None
    frames = pack_frames([Frame(span[1], bytes(BOMB_BYTES))])
    (chunk, *_) = chunk_files(copy, "full")
    with closing(sqlite3.connect(chunk.path)) as database:
        database.execute(
            "INSERT INTO block (id, since, until, frames, rows) VALUES (99, ?, ?, ?, ?)", (*span, frames, b"")
        )
        database.commit()
    assert chunk.bytes() < 1 << 20
    return copy


@pytest.mark.parametrize("words", [COMMANDS[0], COMMANDS[2]])
def test_one_that_unpacks_to_more_ends_the_command_in_one_line(words: list[str], bomb: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHIN, *of(bomb, words)],
        env=environment(tmp_path),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"blackbox: {bomb}: reading it would take too much memory\n"
    assert list(tmp_path.glob("*.bbdump")) == []


@pytest.fixture
def piped(data: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy with pipes that bear the names of files; whoever opens one waits for a writer."""
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    (copy / "dumps").mkdir(exist_ok=True)
    for name in ("full-20990101T000000Z-0.db", "events-20990101T000000Z-0.db", "dumps/oom-1-20990101T000000Z.bbdump"):
        os.mkfifo(copy / name)
    yield copy
    shutil.rmtree(copy)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_pipe_in_it_is_not_waited_for(words: list[str], piped: Path, tmp_path: Path) -> None:
    done = blackbox(*of(piped, words), env=environment(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    ["report x.bbdump", "report x.pickle", "import x.pickle", "import x.prof", "import x.csv", "import x.ncu-rep"],
)
def test_a_pipe_for_a_file_is_refused(words: str, tmp_path: Path) -> None:
    command, name = words.split()
    os.mkfifo(tmp_path / name)
    done = blackbox(command, name, env=environment(tmp_path))
    assert (done.returncode, done.stderr) == (1, f"blackbox: {name}: not a file\n")
