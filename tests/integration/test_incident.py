"""From a recording to a dump, a report, a replay and an export, through the commands."""

import json
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from blackbox.cli import main
from blackbox.client import Client
from blackbox.model.snapshot import Snapshot
from blackbox.recorder import Recording
from blackbox.recorder.dumps.file import Dump
from tests import genuine, incidents
from tests.caching_allocator import MIB, CachingAllocator
from tests.recordings import recorded
from tests.running_server import environment
from tests.serving import Serving
from tests.traced_programs import STACKS
from tests.waiting import PATIENCE_SECONDS, until_value

SNAPSHOT = "torch-memory-snapshot-user-metadata.pickle"
PAGE_BYTES_MAX = 2_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    with recorded(directory, incidents.leak()[::4] + incidents.leak()[-3:]):
        pass
    return directory


@pytest.fixture(scope="module")
def dump(data: Path) -> Path:
    path = data.parent / "incident.bbdump"
    assert main(["dump", "--data-dir", str(data), "-o", str(path)]) == 0
    return path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def assert_the_leak_is_told(text: str) -> None:
    assert "python (pid 48211) ran out of memory on GPU 2" in text
    assert "activations" in text
    assert "layers.py:52 attention" in text
    assert re.search(r"largest hole in the cache +[0-9.]+ MiB", text)


@pytest.mark.parametrize("words", [["--data-dir", "{data}"], ["{data}"], ["{dump}"]])
def test_the_leaking_process_is_named_wherever_it_is_read_from(
    words: list[str], data: Path, dump: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    given = [word.format(data=data, dump=dump) for word in words]
    assert main(["report", *given, "-o", str(page)]) == 0
    assert_the_leak_is_told(capsys.readouterr().out)
    assert b"layers.py:52 attention" in page.read_bytes()
    assert page.stat().st_size < PAGE_BYTES_MAX


def test_text_alone_writes_no_page(dump: Path, tmp_path: Path) -> None:
    assert main(["report", str(dump), "--text"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_the_page_is_called_after_the_dump(dump: Path, tmp_path: Path) -> None:
    assert main(["report", str(dump)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["incident.html"]


def test_a_kept_dump_is_preferred_to_what_thinning_left(
    data: Path, dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    (copy / "dumps").mkdir(parents=True)
    for path in data.glob("events-*"):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "dumps" / "oom-48211-20270115T080000Z.bbdump").write_bytes(dump.read_bytes())
    assert main(["report", str(copy), "--text"]) == 0
    assert_the_leak_is_told(capsys.readouterr().out)


def test_a_genuine_snapshot_is_told_of_its_peak_by_stack(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["report", str(genuine.sample(SNAPSHOT)), "-o", "page.html"]) == 0
    out = capsys.readouterr().out
    assert "The recorded process held 3.6 GiB at its peak, of 3.9 GiB that it kept from the driver" in out
    assert "nothing was refused: the blocks are those at the peak; 2.9 GiB were allocated when the file was" in out
    assert "optimizer.py:74 step" in out
    assert (tmp_path / "page.html").stat().st_size < PAGE_BYTES_MAX


def test_a_running_server_is_told_like_a_file(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Serving(recording=_recording(data)) as serving:
        serving.publish()
        assert main(["report", serving.url, "--text"]) == 0
    assert_the_leak_is_told(capsys.readouterr().out)


def test_a_server_without_a_recording_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Serving() as serving:
        serving.publish()
        assert main(["report", serving.url, "--text"]) == 0
    assert "keeps no recording" in capsys.readouterr().out


def test_any_range_is_told_and_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, last = Recording(data).span() or (0.0, 0.0)
    middle = (first + last) / 2
    ends = ["--from", str(first), "--to", str(middle)]
    assert main(["dump", *ends, "--data-dir", str(data), "-o", "half.bbdump"]) == 0
    kept = Dump(Path("half.bbdump"))
    assert kept.span() == (first, middle)
    assert all(first <= moment.timestamp <= middle for moment in kept.moments())
    assert all(first <= event.timestamp <= middle for event in kept.events())
    capsys.readouterr()
    with Serving(recording=Recording(data)) as serving:
        serving.publish()
        for where in (str(data), serving.url):
            assert main(["report", where, *ends, "--text"]) == 0
            assert "ran out of memory" not in capsys.readouterr().out, "it did so later"


def test_a_range_outside_the_recording_says_what_there_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("report", "dump"):
        assert main([command, "--to", "2001-01-01", "--data-dir", str(data)]) == 1
        told = capsys.readouterr().err
        assert "the recording reaches from 2027-01-15" in told
        assert told.count("\n") == 1


@pytest.mark.parametrize("command", ["report", "dump", "export"])
def test_where_nothing_is_recorded_one_line_says_so(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for directory in (tmp_path / "missing", tmp_path):
        assert main([command, "--data-dir", str(directory)]) == 1
        err = capsys.readouterr().err
        assert "nothing" in err
        assert err.count("\n") == 1


def test_what_is_neither_dump_nor_snapshot_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.txt").write_text("hello")
    assert main(["report", "x.txt"]) == 1
    assert main(["report", "missing.bbdump"]) == 1
    assert capsys.readouterr().err.count("\n") == 2


def test_bad_flags_are_usage_errors(data: Path) -> None:
    assert main(["dump", "--minutes", "0", "--data-dir", str(data)]) == 2
    assert main(["export", "--from", "the other day", "--data-dir", str(data)]) == 2
    assert main(["export", "--from", "1h", "--to", "2h", "--data-dir", str(data)]) == 2
    assert main(["serve", "--speed", "fast"]) == 2


def test_a_range_is_exported_in_the_format_its_name_says(data: Path, tmp_path: Path) -> None:
    span = ["--from", "2027-01-15T08:00:00Z", "--to", "2027-01-15T09:00:00Z"]
    assert main(["export", *span, "--data-dir", str(data), "-o", "x.jsonl"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert {row["metric"] for row in rows} >= {"used_bytes", "allocated_bytes", "kv_usage_ratio"}
    assert main(["export", *span, "--data-dir", str(data), "--step", "full", "-o", "full.csv"]) == 0
    assert len((tmp_path / "full.csv").read_text().splitlines()) > len(rows)


def said(log: Iterable[str], *patterns: str) -> list[str]:
    """What each pattern finds in the lines, in whatever order they come: a short replay is over before it is served."""
    found: dict[str, str] = {}
    for line in log:
        found |= {pattern: match[1] for pattern in patterns if (match := re.search(pattern, line))}
        if len(found) == len(patterns):
            break
    return [found[pattern] for pattern in patterns]


def replayed(path: Path, folder: Path) -> Snapshot:
    """What a server shows after the last moment of a file that it played."""
    server = subprocess.Popen(
        [sys.executable, "-m", "blackbox", "serve", "--port", "0", "--replay", str(path), "--speed", "1000"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder),
    )
    assert server.stderr is not None
    try:
        url, moments = said(server.stderr, r"serving (http://\S+:\d+)/vram", r"is over after (\d+) mom")
        snapshot = until_value(lambda: Client(url).snapshot(), lambda snapshot: snapshot.seq == int(moments))
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == 0
    assert snapshot.sources[0].name == "replay"
    return snapshot


def test_a_dump_is_replayed_in_the_samplers_place(dump: Path, tmp_path: Path) -> None:
    snapshot = replayed(dump, tmp_path)
    assert snapshot.simulated
    assert snapshot.host == "testhost"
    assert snapshot.timestamp.startswith("2027-01-15T08:0")


def test_a_pytorch_snapshot_is_replayed_likewise(tmp_path: Path) -> None:
    allocator = CachingAllocator()
    allocator.alloc(20 * MIB, frames=STACKS[0])
    allocator.free(allocator.alloc(40 * MIB, frames=STACKS[1]))
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    snapshot = replayed(path, tmp_path)
    assert not snapshot.simulated
    assert snapshot.sources[0].facts["recording"] == "snapshot.pickle"
    (process,) = snapshot.processes
    assert (process.used_bytes, process.allocated_bytes) == (60 * MIB, 20 * MIB)
    assert [(stack.frames[0], stack.allocated_bytes) for stack in snapshot.stacks or ()] == [
        ("/app/model0.py:0 forward", 20 * MIB)
    ]
    assert sum(block.size for block in snapshot.blocks) == snapshot.used_bytes


def test_what_cannot_be_replayed_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(b"broken")
    ended = subprocess.run(
        [sys.executable, "-m", "blackbox", "serve", "--port", "0", "--replay", str(path)],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "not a memory snapshot of PyTorch" in ended.stderr.splitlines()[-1]


def _recording(data: Path) -> Recording:
    return Recording(data)
