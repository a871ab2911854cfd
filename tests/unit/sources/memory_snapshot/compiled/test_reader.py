"""The compiled part tells what Python alone tells, of every file; and a command says the same with and without it."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.trace.entries import ACTIONS
from blackbox.sources.memory_snapshot.compiled import building
from blackbox.sources.memory_snapshot.compiled.reader import COLUMNS
from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.entry_columns import EntryColumns
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from tests.caching_allocator import VERSIONS
from tests.compiled_entries import Way, way_called
from tests.fuzz import sanitized
from tests.genuine import CASES, SAMPLES
from tests.tools import missing
from tests.traced_programs import STACKS
from tests.unit.sources.memory_snapshot.test_walk import STEPS, trained
from tests.waiting import PATIENCE_SECONDS

RECORDED = Path(__file__).parents[4] / "recorded" / "torch"
SANITIZED_INPUTS = 1500


@pytest.fixture(scope="module")
def compiled() -> Way:
    return way_called("compiled")


def files() -> Iterator[Path]:
    """Genuine ones, and what is made of genuine formats."""
    for folder in (RECORDED, SAMPLES, CASES):
        yield from sorted(folder.rglob("*.pickle"))


@pytest.mark.parametrize("path", list(files()), ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("parts", ["end", "all_stacks"])
def test_every_file_is_told_alike(compiled: Way, path: Path, parts: SnapshotParts) -> None:
    ours, plain = (
        msgspec.msgpack.encode(contents(way.snapshot_data(path.read_bytes()), parts))
        for way in (compiled, way_called("python"))
    )
    assert ours == plain


@pytest.mark.parametrize("version", VERSIONS)
def test_stacks_and_notes_have_the_same_numbers(compiled: Way, version: tuple[int, int]) -> None:
    packed = pickle.dumps(trained(STEPS).snapshot(version))
    ours, plain = (way.walk(packed)["device_traces"][0] for way in (compiled, way_called("python")))
    assert isinstance(ours, EntryColumns)
    assert (ours.lists, ours.frames, ours.tags, ours.tag) == (plain.lists, plain.frames, plain.tags, plain.tag)


def test_a_trace_with_more_entries_than_one_call_reads_is_whole(compiled: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pickle.dumps(trained(200).snapshot((2, 15)))
    whole = msgspec.msgpack.encode(contents(compiled.walk(packed), "all_stacks"))
    monkeypatch.setattr("blackbox.sources.memory_snapshot.compiled.reader.ROWS_MAX", 7)
    assert msgspec.msgpack.encode(contents(compiled.walk(packed), "all_stacks")) == whole


def test_values_beyond_what_is_held_at_first_are_all_found_again(compiled: Way) -> None:
    """The table of values, and what is remembered, grow with the file."""
    snapshot = trained(1).snapshot((2, 15))
    entry = snapshot["device_traces"][0][-1]
    notes = [f"request {number}" for number in range(5000)]
    snapshot["device_traces"] = [[entry | {"user_metadata": note, "frames": list(STACKS[0])} for note in 2 * notes]]
    (trace,) = compiled.walk(pickle.dumps(snapshot))["device_traces"]
    assert [trace.tags[number] for number in trace.tag] == 2 * notes


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40),
    st.integers(1, 3),
)
def test_frames_are_known_again_whatever_comes_before_them(
    compiled: Way, kinds: list[list[int]], written: list[tuple[int, bool]], rounds: int
) -> None:
    """Those that a round wrote are guessed in the next: others in their place, shorter ones, or none are not taken for
    them. Blocks of the end may refer to them too."""
    snapshot = trained(2).snapshot((2, 15))
    frames = [{"filename": f"f{number}.py", "line": number, "name": "f"} for number in range(6)]
    lists = [[frames[number] for number in kind] for kind in kinds]
    (before,) = snapshot["device_traces"]
    told = [lists[number % len(lists)] for number, _ in written]
    stacks = [
        one if shared else list(one) for _ in range(rounds) for one, (_, shared) in zip(told, written, strict=True)
    ]
    snapshot = {
        "device_traces": [[*before, *(before[-1] | {"frames": stack} for stack in stacks)]],
        "segments": snapshot["segments"],
        "allocator_settings": {"seen": stacks},
    }
    found = compiled.walk(pickle.dumps(snapshot))
    (trace,) = found["device_traces"]
    assert [trace.lists[number] if number >= 0 else [] for number in trace.frames[len(before) :]] == stacks
    assert found["allocator_settings"]["seen"] == stacks


def test_python_and_c_name_the_same_columns() -> None:
    entries, columns, *_ = (source.read_text().splitlines() for source in building.SOURCES)
    (line,) = (line for line in entries if line.startswith("enum { ADDRESS,"))
    assert line.count(",") == len(COLUMNS) + 1  # and how many, and what is none
    (line,) = (line for line in columns if line.startswith("enum { ALLOC,"))
    assert [ACTIONS.get(word.strip().lower()) for word in line.strip("enum {};").split(",")] == list(range(8))


@pytest.fixture(scope="module")
def snapshot_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshot") / "snapshot.pickle"
    path.write_bytes(pickle.dumps(trained(300).snapshot((2, 12))))
    return path


def said(path: Path, *words: str, compiled: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "blackbox", *words[:1], str(path), *words[1:]],
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
        env=os.environ | {building.VARIABLE: compiled},
    )
    return done.stdout


@pytest.mark.parametrize("words", [("report", "--json"), ("report", "--folded"), ("report", "-o", "-"), ("import",)])
def test_a_command_says_the_same_with_and_without_it(
    compiled: Way, snapshot_file: Path, words: tuple[str, ...]
) -> None:
    if not (building.FOLDER / building.library_name()).exists():
        building.compile_library()  # as where it is installed
    assert said(snapshot_file, *words, compiled="1") == said(snapshot_file, *words, compiled="0") != b""


def test_mutated_files_touch_no_memory_but_their_own(compiled: Way) -> None:
    """Under AddressSanitizer, which ends the process at the first byte read beside the file's."""
    if sanitized.runtime() is None:
        missing("no libasan (Debian: apt install gcc)")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.sanitized", str(SANITIZED_INPUTS), "20261130"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 10,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{SANITIZED_INPUTS} inputs" in done.stdout


def test_the_sanitizer_would_find_a_byte_read_beside_the_file(compiled: Way) -> None:
    if sanitized.runtime() is None:
        missing("no libasan (Debian: apt install gcc)")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.sanitized", "--beyond"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
