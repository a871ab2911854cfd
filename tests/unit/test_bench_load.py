"""The parts of the benchmarks that could be wrong without anybody noticing: what counts as delivered, and as CPU."""

import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness import cpu_seconds, family, in_turns, process
from benchmarks.load import Client, Delivery, Load
from benchmarks.plan import Row
from benchmarks.report import table
from blackbox.paths import data_directory
from tests.waiting import PATIENCE_SECONDS, until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
LOAD = Load(port=1, path="/", clients=1, seconds=1.0, server_pid=1)
SEQ = re.compile(LOAD.seq_pattern.encode(), re.MULTILINE)
MISSED = re.compile(LOAD.missed_pattern.encode(), re.MULTILINE)
BURN = "import time\nwhile time.process_time() < 0.2: pass\n"


def event(seq: int) -> bytes:
    return b'id: %d\ndata: {"seq":%d}\n\n' % (seq, seq)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def fed(*pieces: bytes) -> Client:
    client = Client()
    for piece in pieces:
        client.feed(piece, SEQ, MISSED)
    return client


@given(
    seqs=st.lists(st.integers(1, 50), unique=True, min_size=1).map(sorted),
    chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 2000)),
)
def test_events_are_counted_however_the_bytes_are_cut(seqs: list[int], chunked: bool, cuts: list[int]) -> None:
    whole = HEAD + b"".join(chunk(event(seq)) if chunked else event(seq) for seq in seqs)
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    client = fed(*(whole[start:end] for start, end in pairwise(edges)))
    assert client.events == len(seqs)
    assert client.last == seqs[-1]
    assert client.lost == seqs[-1] - seqs[0] + 1 - len(seqs)


def test_unfinished_event_does_not_count() -> None:
    assert fed(HEAD, event(1), event(2)[:-1]).events == 1


def test_heartbeats_do_not_count() -> None:
    assert fed(HEAD, event(1), b": heartbeat\n\n", event(2)).events == 2


def test_what_the_server_says_it_left_out_is_told() -> None:
    client = fed(HEAD, chunk(event(1)), chunk(b": missed 3\n\n") + chunk(event(5)))
    assert (client.events, client.lost, client.told) == (2, 3, 3)


def test_refusal_is_no_stream() -> None:
    with pytest.raises(ConnectionError, match="503"):
        fed(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")


@pytest.mark.parametrize(
    ("counts", "accounted"),
    [
        ({}, True),
        ({"lost": 2, "told": 2}, True),
        ({"lost": 2, "told": 1}, False),
        ({"behind": 1}, False),
        ({"broken": 1}, False),
    ],
)
def test_delivery_is_accounted_for_only_if_nothing_is_missing_silently(counts: dict[str, int], accounted: bool) -> None:
    nothing = dict.fromkeys(Delivery.__struct_fields__, 0)
    assert Delivery(**{**nothing, "clients": 1, "events": 10, **counts}).accounted is accounted


def test_cpu_counts_children_living_and_reaped() -> None:
    program = f"""
import subprocess, sys, time
burn = {BURN!r}
subprocess.run([sys.executable, "-c", burn], check=True)
child = subprocess.Popen([sys.executable, "-c", burn + "print(flush=True)\\ntime.sleep(60)"], stdout=subprocess.PIPE)
child.stdout.readline()
{BURN}
print(flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        children = family(parent.pid)[1:]
        spent = cpu_seconds(parent.pid)
        for pid in children:
            subprocess.run(["kill", str(pid)], check=True)
        parent.kill()
    assert len(children) == 1
    assert spent >= 0.59  # the reaped one is counted in the kernel's ticks of 10 ms


def test_sleeping_costs_nothing() -> None:
    with subprocess.Popen(["sleep", "30"]) as sleeper:
        asleep = psutil.Process(sleeper.pid)
        until(lambda: (asleep.name(), asleep.status()) == ("sleep", psutil.STATUS_SLEEPING))
        before = cpu_seconds(sleeper.pid)
        time.sleep(0.05)
        after = cpu_seconds(sleeper.pid)
        sleeper.kill()
    assert after == before


def test_process_ends_with_its_children() -> None:
    program = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    with process([sys.executable, "-c", program]) as started:
        until(lambda: len(family(started.pid)) == 2)
        child = psutil.Process(family(started.pid)[1])
    assert started.returncode is not None
    psutil.wait_procs([child], timeout=PATIENCE_SECONDS)
    assert not child.is_running()


def test_sides_take_turns_first() -> None:
    order: list[str] = []
    results = in_turns(3, lambda: order.append("a") or 1, lambda: order.append("b") or 2)
    assert "".join(order) == "abbaab"
    assert results == [[1, 1, 1], [2, 2, 2]]


def test_table_says_what_was_not_measured() -> None:
    text = table([Row(figure="f", unit="µs", ours=2.0, peer="p", theirs=8.0), Row(figure="g", unit="", note="no peer")])
    assert "| f | µs | 2 | p | 8 | 0.25 |" in text
    assert "| g |  | - |  | - | - |" in text


def test_a_server_of_a_benchmark_records_into_a_directory_that_goes_with_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"""
from pathlib import Path
from blackbox.paths import data_directory
(data_directory() / "lock").touch()
Path({str(told)!r}).write_text(str(data_directory()))
"""
    with process([sys.executable, "-c", program]) as started:
        started.wait(PATIENCE_SECONDS)
        used = Path(told.read_text())
        assert (used / "lock").exists()
        assert used != data_directory()
    assert not used.exists()
