"""One tick of the agent: full reports within the budget and in turns, none while the daemon does not keep up."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.agent.channel import Channel
from blackbox.agent.reporter import Reporter
from blackbox.agent.settings import AgentSettings
from blackbox.sources.agents.decode import ReportMessage, decode
from blackbox.wire import Unpacker
from blackbox.wire.message import pack_hello, pack_oom_received
from blackbox.wire.report import AllocatorReport, Hello, Report

HELLO = pack_hello(Hello(1, 2, 3))
SETTINGS = AgentSettings(interval_seconds=0.5, budget_ratio=0.01, extras=frozenset())


class Clocks:
    """Wall and CPU time, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cpu = 0.0


class ScriptedProbe:
    """Costs what it is told to."""

    def __init__(self, clocks: Clocks, source: str, full_cost: float = 0.0, padding: int = 0) -> None:
        self.source = source
        self.asked: list[bool] = []
        self.fault: BaseException | None = None
        self.silent = False
        self._clocks = clocks
        self._full_cost = full_cost
        self._padding = padding

    def report(self, full: bool) -> Report | None:
        self.asked.append(full)
        self._clocks.cpu += self._full_cost if full else 0.0001
        if self.fault:
            raise self.fault
        if self.silent:
            return None
        allocator = AllocatorReport("GPU-0", 0, 0, unknown={"blocks": "x" * self._padding})
        return Report(self.source, self._clocks.now, (allocator,))


class Daemon:
    """The other end of the socket."""

    def __init__(self, path: Path) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._connected: socket.socket | None = None
        self._unpacker = Unpacker()

    def heard(self) -> list[object]:
        if self._connected is None:
            self._connected, _ = self._listening.accept()
            self._connected.setblocking(False)
        try:
            data = self._connected.recv(1 << 24)
        except BlockingIOError:
            return []
        return [decode(frame) for frame in self._unpacker.feed(data)]

    def answer(self, messages: int) -> None:
        """Says that it has them, when so many have come."""
        while messages > 0:
            messages -= len(self.heard())
        assert self._connected
        self._connected.sendall(pack_oom_received())

    def hang_up(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected, self._unpacker = None, Unpacker()

    def close(self) -> None:
        self.hang_up()
        self._listening.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "agent.sock")
    yield daemon
    daemon.close()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def channel(tmp_path: Path, clocks: Clocks) -> Iterator[Channel]:
    path = str(tmp_path / "agent.sock")
    channel = Channel((path,), HELLO, frozenset({os.getuid()}), lambda: clocks.now)
    yield channel
    channel.close()


@pytest.fixture
def reporter(channel: Channel, clocks: Clocks) -> Reporter:
    return Reporter(channel, SETTINGS, lambda: clocks.now, lambda: clocks.cpu)


def tick(reporter: Reporter, clocks: Clocks, times: int = 1) -> None:
    for _ in range(times):
        clocks.now += reporter.tick()


def test_hello_comes_first_and_then_a_full_report(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    probe = ScriptedProbe(clocks, "heap")
    reporter.add(probe)
    tick(reporter, clocks)
    hello, report = daemon.heard()
    assert hello == Hello(1, 2, 3)
    assert isinstance(report, ReportMessage)
    assert probe.asked == [True]


def test_a_cheap_probe_reports_in_full_every_time(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    probes = [ScriptedProbe(clocks, name, full_cost=0.001) for name in ("one", "two")]
    for probe in probes:
        reporter.add(probe)
    for _ in range(10):
        tick(reporter, clocks)
        daemon.heard()
    assert [probe.asked for probe in probes] == [[True] * 10] * 2


def test_costly_probes_take_turns_within_the_budget(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    probes = [ScriptedProbe(clocks, name, full_cost=0.03) for name in ("one", "two")]
    for probe in probes:
        reporter.add(probe)
    begun = clocks.now
    for _ in range(200):
        tick(reporter, clocks)
        daemon.heard()
    full = [sum(probe.asked) for probe in probes]
    assert abs(full[0] - full[1]) <= 1
    assert sum(full) > 20
    assert clocks.cpu <= 0.013 * (clocks.now - begun)
    assert [len(probe.asked) for probe in probes] == [200, 200]


def test_costly_counters_stretch_the_interval(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    probe = ScriptedProbe(clocks, "heap", full_cost=0.0)
    reporter.add(probe)
    tick(reporter, clocks)
    reporter.spend(1.0)  # so that only counters are affordable
    probe.report = lambda full: setattr(clocks, "cpu", clocks.cpu + 0.02)  # type: ignore[method-assign]
    assert reporter.tick() == pytest.approx(2.0)


def test_without_a_daemon_no_probe_is_asked(reporter: Reporter, clocks: Clocks) -> None:
    probe = ScriptedProbe(clocks, "heap")
    reporter.add(probe)
    tick(reporter, clocks, 20)
    assert probe.asked == []


def test_a_daemon_that_does_not_read_costs_no_reports(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    probe = ScriptedProbe(clocks, "heap", padding=250_000)
    reporter.add(probe)
    tick(reporter, clocks, 30)
    asked = len(probe.asked)
    assert asked < 5
    assert reporter.cost.dropped >= 25
    while daemon.heard():
        tick(reporter, clocks)
    assert len(probe.asked) > asked


def test_a_new_daemon_is_told_everything(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    probe = ScriptedProbe(clocks, "heap", full_cost=0.001)
    reporter.add(probe)
    tick(reporter, clocks)
    daemon.heard()
    daemon.hang_up()
    tick(reporter, clocks, 20)
    hello, report, *_ = daemon.heard()
    assert hello == Hello(1, 2, 3)
    assert isinstance(report, ReportMessage)


def test_a_probe_that_fails_or_says_nothing_hides_no_other(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    failing, silent, good = (ScriptedProbe(clocks, name) for name in ("failing", "silent", "good"))
    failing.fault = ValueError("no")
    silent.silent = True
    for probe in (failing, silent, good):
        reporter.add(probe)
    tick(reporter, clocks)
    sources = [message.report.source for message in daemon.heard() if isinstance(message, ReportMessage)]
    assert sources == ["good"]
    assert (reporter.cost.reports, reporter.cost.dropped) == (1, 1)


def test_a_report_too_large_to_send_is_dropped_and_counted(daemon: Daemon, reporter: Reporter, clocks: Clocks) -> None:
    reporter.add(ScriptedProbe(clocks, "heap", padding=1_000_000))
    tick(reporter, clocks)
    assert (reporter.cost.reports, reporter.cost.dropped) == (0, 1)


def test_frames_for_now_go_before_those_that_wait_but_not_before_the_hello(
    daemon: Daemon, channel: Channel, clocks: Clocks
) -> None:
    channel.connect()
    channel.send(HELLO)
    assert not channel.send_now(pack_hello(Hello(9, 9, 9)), seconds=0.0)  # sent, but nobody says so
    channel.pump()
    assert daemon.heard() == [Hello(1, 2, 3), Hello(9, 9, 9), Hello(1, 2, 3)]


def test_a_frame_for_now_has_arrived_when_the_daemon_says_so(tmp_path: Path, daemon: Daemon) -> None:
    channel = Channel((str(tmp_path / "agent.sock"),), HELLO, frozenset({os.getuid()}))
    answering = threading.Thread(target=daemon.answer, args=(2,))
    answering.start()
    assert channel.send_now(pack_hello(Hello(9, 9, 9)), seconds=20.0)
    answering.join()
    assert not channel.send_now(pack_hello(Hello(9, 9, 9)), seconds=0.0)  # the word was for the first alone
    channel.close()


def test_a_daemon_of_another_user_is_not_spoken_to(tmp_path: Path, daemon: Daemon) -> None:
    channel = Channel((str(tmp_path / "agent.sock"),), HELLO, frozenset({os.getuid() + 1}))
    assert not channel.connect()
    assert not channel.send_now(b"", seconds=0.1)


def test_a_path_that_no_socket_can_have_is_no_daemon() -> None:
    for path in ("/" + "x" * 200, "nul\0", "", "/nobody/here"):
        assert not Channel((path,), HELLO, frozenset({os.getuid()})).connect()
