"""The recording on real disks: full ones, read-only ones, killed writers, two servers for one directory."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.directory import chunk_files
from blackbox.recorder.storage.store import RecordingError, Store
from tests import kill_loop
from tests.recorded_moments import INTERVAL, MINUTE, moment_at, series, store_at
from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import PATIENCE_SECONDS, SLACK_SECONDS, until

START = 1_800_000_000.0
FILLED, FREED = 300, 1000
"""Numbers of the moments before which a disk is filled, and freed."""
DEMO = ("--demo", "--interval", "0.2")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that the logs beside the chunks fill by themselves."""
    yield from mounted(tmp_path, "size=1m")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for half an hour of the smallest machine."""
    yield from mounted(tmp_path, "size=5m")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for some minutes of the simulated machine."""
    yield from mounted(tmp_path, "size=64m")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system nobody can write."""
    yield from mounted(tmp_path, "size=1m,ro")


def mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a tmpfs")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=PATIENCE_SECONDS)


def fill(file: Path) -> None:
    """Takes all room that is left on its file system."""
    with file.open("wb", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError:
                continue


def recorder_state(url: str) -> str:
    """As `/healthz` tells it."""
    with urllib.request.urlopen(f"{url}/healthz", timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)["recorder"]["state"]


@pytest.mark.fault(21)
def test_row_21_a_full_disk_costs_what_does_not_fit_and_nothing_else(small_disk: Path) -> None:
    moments = list(series(START, 11 * MINUTE))
    kept: list[int] = []
    store = Store(small_disk)
    for one in moments:
        if one.seq == FILLED:
            fill(small_disk / "filler")
        if one.seq == FREED:
            (small_disk / "filler").unlink()
        try:
            store.append(one)
            kept.append(one.seq)
        except RecordingError:
            assert FILLED <= one.seq < FREED, "only while the disk is full"
    store.close()
    assert len(kept) < len(moments), "the disk was full"
    found = [one.seq for one in Recording(small_disk).moments(START, START + 3600)]
    assert found == kept
    assert Recording(small_disk).damaged == 0
    points = Recording(small_disk).history(START, START + 11 * MINUTE, pid=4711, points=11).series[0].points
    gaps = [point[0] for point in points if point[1] is None]
    assert gaps, "the time without room is a gap"
    assert START + FILLED * INTERVAL - 60 <= min(gaps) <= max(gaps) <= START + FREED * INTERVAL


@pytest.mark.fault(21)
def test_row_21_on_a_disk_that_is_too_small_all_that_was_acknowledged_is_there(tiny_disk: Path) -> None:
    kept: list[int] = []
    store = Store(tiny_disk)
    for one in series(START, 5 * MINUTE):
        try:
            store.append(one)
            kept.append(one.seq)
        except RecordingError:
            continue
    store.close()
    assert 0 < len(kept) < 600, "it was too small"
    assert [one.seq for one in Recording(tiny_disk).moments(START, START + 3600)] == kept


@pytest.mark.fault(21)
@pytest.mark.slow
def test_row_21_pollers_never_notice_a_full_disk(disk: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    data = disk / "demo"

    def poll(url: str) -> tuple[int, int]:
        good = bad = 0
        while not stop.wait(0.05):
            try:
                with urllib.request.urlopen(f"{url}/vram?blocks=none", timeout=PATIENCE_SECONDS) as answer:
                    good += json.load(answer)["used_bytes"] >= 0
            except (OSError, ValueError):
                bad += 1
        return good, bad

    def newest() -> float:
        span = Recording(data).span()
        return span[1] if span else 0.0

    with RunningServer(tmp_path, *DEMO, "--data-dir", str(disk)) as server, ThreadPoolExecutor(50) as pool:
        polls = [pool.submit(poll, server.url) for _ in range(50)]
        try:
            until(newest)
            fill(disk / "filler")
            until(lambda: "recording is paused: database or disk is full" in server.log)
            assert recorder_state(server.url) == "paused"
            last = newest()
            time.sleep(3)
            (disk / "filler").unlink()
            freed_at = time.time()
            until(lambda: newest() > freed_at)
            resumed = time.time() - freed_at
        finally:
            stop.set()
        outcomes = [one.result(PATIENCE_SECONDS) for one in polls]
        assert sum(bad for _, bad in outcomes) == 0
        assert all(good > 0 for good, _ in outcomes)
        assert resumed <= 5 + SLACK_SECONDS
        assert "recording goes on" in server.log
        assert recorder_state(server.url) == "recording"
        assert server.log.count("recording is paused") == 1, "said once"
        assert Recording(data).moment_at(last + 2) is None, "the gap is a gap"
    assert Recording(data).damaged == 0


@pytest.mark.fault(22)
def test_row_22_a_killed_recorder_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    outcome = kill_loop.run(40, tmp_path)
    assert outcome.acknowledged > 120, "a minute is sealed among what is killed"
    assert outcome == outcome._replace(lost=0, damaged=0, unopened=0)


@pytest.mark.fault(22)
@pytest.mark.slow
def test_row_22_killed_while_it_finishes_a_file_it_loses_nothing(tmp_path: Path) -> None:
    """What the loop above meets once in thousands of kills."""
    moments = list(series(START, 4 * MINUTE))
    with store_at(tmp_path / "whole") as store:
        for one in moments:
            store.append(one)
    chance = random.Random(1)
    for number in range(60):
        copy = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", copy)
        (chunk,) = chunk_files(copy, "full")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            writer = ChunkWriter(chunk.path, 1)
            writer.pack_tail()
            os.write(writing, b"now")
            writer.finish()
            os._exit(0)
        os.read(reading, 3)
        time.sleep(chance.random() * 0.008)
        os.close(reading)
        os.close(writing)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert list(Recording(copy).moments(START, START + 3600)) == moments
        with store_at(copy) as store:
            store.append(moment_at(START + 3600, 1000))
        assert list(Recording(copy).moments(START, START + 3500)) == moments
        assert not list(copy.glob("*.new"))
        assert not chunk.has_companions(), "the next server finished it"
        shutil.rmtree(copy)


@pytest.mark.fault(22)
@pytest.mark.slow
def test_row_22_hundreds_of_kills_lose_nothing(tmp_path: Path) -> None:
    outcome = kill_loop.run(400, tmp_path, seed=2)
    assert outcome.acknowledged > 3600, "the end of a chunk is among what is killed"
    assert outcome == outcome._replace(lost=0, damaged=0, unopened=0)


@pytest.mark.fault(25)
def test_row_25_without_a_place_to_record_it_serves_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with RunningServer(tmp_path, *DEMO, "--data-dir", str(tmp_path / "file")) as server:
        with urllib.request.urlopen(f"{server.url}/vram?blocks=none", timeout=PATIENCE_SECONDS) as answer:
            assert answer.status == 200
        assert "nothing is recorded: cannot record in" in server.log
    assert server.exit_code == 0


@pytest.mark.fault(25)
def test_row_25_on_a_read_only_disk_it_serves_and_says_so(read_only_disk: Path, tmp_path: Path) -> None:
    with RunningServer(tmp_path, *DEMO, "--data-dir", str(read_only_disk / "data")) as server:
        until(lambda: "Read-only file system" in server.log)
    assert server.exit_code == 0


@pytest.mark.fault(25)
def test_row_25_with_require_record_it_exits_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ("serve", "0", *DEMO, "--log-level", "error", "--require-record", "--data-dir", str(tmp_path / "file"))
    done = blackbox(*words, env=environment(tmp_path), seconds=PATIENCE_SECONDS)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "cannot record in" in done.stderr


def test_told_not_to_record_it_writes_nothing(tmp_path: Path) -> None:
    with RunningServer(tmp_path, *DEMO, "--no-record"):
        pass
    assert not (tmp_path / ".local").exists()


def test_by_default_it_records_into_the_state_directory_and_apart_when_simulated(tmp_path: Path) -> None:
    data = tmp_path / ".local" / "state" / "blackbox" / "demo"
    with RunningServer(tmp_path, *DEMO):
        until(lambda: any(Recording(data).moments(0, 1e12)))
    moments = list(Recording(data).moments(0, 1e12))
    assert all(sample.simulated for one in moments for sample in one.samples)


@pytest.mark.fault(26)
def test_row_26_a_second_server_exits_and_names_the_first(tmp_path: Path) -> None:
    with RunningServer(tmp_path, *DEMO, "--data-dir", str(tmp_path / "data")) as first:
        words = ("serve", "0", *DEMO, "--log-level", "error", "--data-dir", str(tmp_path / "data"))
        second = blackbox(*words, env=environment(tmp_path), seconds=PATIENCE_SECONDS)
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert f"process {first.pid} records in" in second.stderr


def restart_after_kills(tmp_path: Path, times: int) -> None:
    data = tmp_path / "data" / "demo"
    seen = 0
    for _ in range(times):
        with RunningServer(tmp_path, *DEMO, "--require-record", "--data-dir", str(tmp_path / "data")) as server:
            until(lambda before=seen: len(list(Recording(data).moments(0, 1e12))) > before)
            server.stop(signal.SIGKILL)
        found = len(list(Recording(data).moments(0, 1e12)))
        assert found > seen
        seen = found


@pytest.mark.fault(26)
def test_row_26_a_killed_server_holds_nobody_up(tmp_path: Path) -> None:
    restart_after_kills(tmp_path, 3)


@pytest.mark.fault(26)
@pytest.mark.slow
def test_row_26_many_killed_servers_hold_nobody_up(tmp_path: Path) -> None:
    restart_after_kills(tmp_path, 20)
