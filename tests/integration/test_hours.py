"""Hours of churn in seconds, by a clock that is moved: what the server keeps alive depends on what there is now, not on
how many processes, agents and clients there have been."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from blackbox.events import EventDetectors, EventWatcher
from blackbox.hub import HISTORY_MOMENTS_MAX, Hub
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.view import Shape
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage import chunk_reader, chunk_writer
from blackbox.recorder.storage.chunk_cache import SETTLED_SECONDS, ChunkCache
from blackbox.wire.message import pack_hello, pack_report
from blackbox.wire.report import Hello
from tests.agent_messages import COST, allocator, report
from tests.agent_rig import AgentServer
from tests.clocks import ManualClock
from tests.live_objects import live_objects
from tests.moments import TIMESTAMP, device, moment, process, sample
from tests.recorded_moments import HOUR, store_at
from tests.serving import Serving

HOURS = 5
WARM_HOURS = 2
"""By then there is a row of each tier, and the hub has as many moments as it keeps."""
MOMENTS_PER_HOUR = 60
LIVES_PER_MOMENT = 3
LIVES_PER_HOUR = MOMENTS_PER_HOUR * LIVES_PER_MOMENT
START = TIMESTAMP // (24 * HOUR) * 24 * HOUR
CHILDREN = 25
CLIENTS = 30
WARM_ROUNDS = 2 * HISTORY_MOMENTS_MAX // CLIENTS
"""By then no moment is kept of before the first client, nor any that fewer had asked for."""
CLIENT_ROUNDS = WARM_ROUNDS + 6
ROUNDS = 3


def churning(now: float, seq: int) -> Moment:
    """A moment whose processes were not there in the one before, and are not there in the next."""
    pids = range(100_000 + seq * LIVES_PER_MOMENT, 100_000 + (seq + 1) * LIVES_PER_MOMENT)
    listed = tuple(process(pid, f"GPU-{pid % 2}", start_time=now, name=f"program{pid}") for pid in pids)
    made = sample((device(0, taken_at=now), device(1, taken_at=now)), listed, taken_at=now, processes_taken_at=now)
    return moment(made, seq=seq, timestamp=now, taken_at=now)


def test_hours_of_processes_that_come_and_go_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hub, detectors of events, recorder with its roll-ups and packing, and questions about the recording."""
    monkeypatch.setattr(chunk_writer, "BLOCK_SUBJECTS_MAX", LIVES_PER_HOUR // 2)
    clock = ManualClock(START)
    hub, recording = Hub(clock), Recording(tmp_path, ChunkCache(clock, lambda: time.time() + 2 * SETTLED_SECONDS))
    seen: list[Counter[str]] = []
    with store_at(tmp_path, clock=clock) as store:

        def note(event: Event) -> None:
            store.note([event], event.timestamp)

        watcher = EventWatcher(EventDetectors((80.0,)), note)
        hub.subscribe(lambda published: watcher.observe(published.moment))
        for seq in range(HOURS * MOMENTS_PER_HOUR):
            hub.publish(churning(clock.now, seq))
            latest = hub.latest
            assert latest is not None
            latest.body(Shape(None, "full", None))
            store.append(latest.moment, latest.merged())
            clock.advance(HOUR / MOMENTS_PER_HOUR)
            if (seq + 1) % MOMENTS_PER_HOUR == 0:
                recording.history(clock.now - HOUR, clock.now)
                recording.events(limit=10, light=True)
                seen.append(live_objects(store, recording, hub, watcher, chunk_reader._layouts))
        assert store.events_total >= (HOURS - 1) * LIVES_PER_HOUR, "they were noticed"
    later = sum(seen[-1].values()) - sum(seen[WARM_HOURS - 1].values())
    lives = (HOURS - WARM_HOURS) * LIVES_PER_HOUR
    assert later < lives / 2, f"{later} objects more after {lives} more lives: {seen[-1] - seen[WARM_HOURS - 1]}"


AGENTS = """
import os, socket, sys
path, hello, told = sys.argv[1], *map(bytes.fromhex, sys.argv[3:5])
for _ in range(int(sys.argv[2])):
    if not os.fork():
        with socket.socket(socket.AF_UNIX) as agent:
            agent.connect(path)
            agent.sendall(hello)
            agent.recv(1)
            agent.sendall(told)
            agent.shutdown(socket.SHUT_WR)
            while agent.recv(4096):
                pass
        os._exit(0)
    os.wait()
"""


def test_agents_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    words = pack_hello(Hello(0, 0, 0)).hex(), pack_report(report(allocator()), COST).hex()
    seen: list[Counter[str]] = []
    with AgentServer(tmp_path) as server:
        for round_ in range(ROUNDS):
            arguments = [sys.executable, "-c", AGENTS, str(server.socket), str(CHILDREN), *words]
            with subprocess.Popen(arguments) as program:
                server.wait_for(lambda _: program.poll() is not None)
                assert program.returncode == 0
            found = server.wait_for(lambda found: not found.cost["agents"])
            assert found.cost["frames_total"] >= (round_ + 1) * CHILDREN, "they were heard"
            seen.append(live_objects(server.source))
        # what the last ones left is forgotten with a later sample
        server.wait_for(lambda _: live_objects(server.source).total() - seen[0].total() < CHILDREN)


def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    """How much is kept of each moment depends on who asks for it when, so rounds are compared that lie apart: a single
    object left behind by each client is twice what they may differ by."""
    seen: list[Counter[str]] = []
    with Serving() as serving:
        serving.seq = 1000  # Python has every small number once
        for _ in range(HISTORY_MOMENTS_MAX):
            serving.publish(sample((device(0),), ()))
        for _ in range(CLIENT_ROUNDS):
            for client in range(CLIENTS):
                serving.publish(sample((device(0),), ()))
                assert serving.ask(f"/vram?blocks=none&gpu={(client % 2 and '0') or 'GPU-0'}").status == 200
                with serving.connect() as raw:
                    raw.request("/vram/stream", Last_Event_ID=str(client))
                    raw.until(b"data: ")
            with serving.connect() as raw:  # reads them all: how many the others were sent depends on their speed
                raw.request("/vram/stream", Last_Event_ID="0")
                raw.until(f"id: {serving.seq}\n".encode())
            serving.until(lambda: not serving.server.stats.connections_open)
            serving.publish(sample((device(0),), ()))
            seen.append(serving.call(lambda: live_objects(serving.server)))
    later = seen[-1].total() - seen[WARM_ROUNDS - 1].total()
    clients = (CLIENT_ROUNDS - WARM_ROUNDS) * CLIENTS
    assert later < clients / 2, f"{later} objects more after {clients} more: {seen[-1] - seen[WARM_ROUNDS - 1]}"
