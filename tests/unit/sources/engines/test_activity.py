"""Whether an engine works, seen without asking it."""

import socket
from pathlib import Path

from blackbox.sources.engines.activity import Activity
from blackbox.sources.engines.listeners import has_clients
from tests.clocks import ManualClock

PID = 40


def write_stat(root: Path, cpu_ticks: int, start_ticks: int = 100) -> None:
    (root / str(PID)).mkdir(exist_ok=True)
    middle = " ".join(["0"] * 10)
    (root / str(PID) / "stat").write_text(f"{PID} (llama-server) S {middle} {cpu_ticks} 0 0 0 0 0 9 0 {start_ticks} 0")


def test_a_process_works_where_it_takes_cpu_time(tmp_path: Path) -> None:
    clock = ManualClock()
    activity = Activity(tmp_path, clock, ticks_per_second=100)
    write_stat(tmp_path, 1000)
    assert activity.of_process(PID) is None, "nothing to compare with"
    clock.advance(2)
    write_stat(tmp_path, 1001)
    assert activity.of_process(PID) is False, "10 ms in 2 s are an answer to /health"
    clock.advance(2)
    write_stat(tmp_path, 1101)
    assert activity.of_process(PID) is True


def test_another_process_of_the_same_number_is_not_compared_with_it(tmp_path: Path) -> None:
    clock = ManualClock()
    activity = Activity(tmp_path, clock, ticks_per_second=100)
    write_stat(tmp_path, 1000)
    activity.of_process(PID)
    clock.advance(2)
    write_stat(tmp_path, 5000, start_ticks=200)
    assert activity.of_process(PID) is None


def test_a_process_that_cannot_be_seen_is_not_known_to_rest(tmp_path: Path) -> None:
    assert Activity(tmp_path).of_process(PID) is None


def test_a_port_has_clients_while_they_are_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert Activity().of_port(port) is None
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert has_clients(Path("/proc"), port)
            assert Activity().of_port(port) is True
