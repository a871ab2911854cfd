"""Programs that die and programs that end: a crash keeps the minutes before it, an ordinary end does not."""

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from blackbox.cli import main
from blackbox.events.exits import is_crash, kernel_exit
from blackbox.events.orphans import parent_of_zombie
from blackbox.model.sample import ProcessExit
from blackbox.sources.proc import exit_status
from blackbox.sources.proc.processes import Procfs
from tests.agent_rig import USE_HEAP, AgentServer, agent_environment, plain_environment, run
from tests.moments import process
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until

WORK = USE_HEAP + "import os, sys; heap.live(.2); "
"""Long enough for some reports."""
POOL = """
import multiprocessing, os, sys
import blackbox_heap as heap

def work(end):
    heap.alloc(512)
    heap.live(.2)
    if end == "exception":
        raise ValueError("a secret")
    sys.exit(3)

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(sys.argv[2],))
    child.start()
    child.join()
"""
CAUGHT_BY_A_TEST_RUNNER = """
def caught():
    try:
        broken()
    except ZeroDivisionError:
        sys.last_type, sys.last_value, sys.last_traceback = sys.exc_info()
def broken():
    1 / 0
caught()
"""
ENDS = {
    "success": (WORK, {("orderly", None)}),
    "exit 3": (WORK + "sys.exit(3)", {("orderly", None)}),
    "exit with words": (WORK + "sys.exit('because')", {("orderly", None)}),
    "exception": (WORK + "raise RuntimeError('a secret')", {("exception", "RuntimeError")}),
    "own exception": (WORK + "\nclass Odd(Exception): pass\nraise Odd()", {("exception", "Odd")}),
    "foreign exception": (WORK + "import json; json.loads('{')", {("exception", "json.decoder.JSONDecodeError")}),
    "interrupt": (WORK + "os.kill(os.getpid(), 2); heap.live(9)", {("exception", "KeyboardInterrupt")}),
    "exception that was caught": (WORK + CAUGHT_BY_A_TEST_RUNNER, {("orderly", None)}),
    "SIGKILL": (WORK + "os.kill(os.getpid(), 9); heap.live(9)", {("killed", None), ("abrupt", None)}),
    "SIGSEGV": (WORK + "import ctypes; ctypes.string_at(0)", {("killed", None), ("abrupt", None)}),
    "abort": (WORK + "os.abort()", {("killed", None), ("abrupt", None)}),
    "os._exit": (WORK + "os._exit(4)", {("abrupt", None)}),
    "allocates after its goodbye": (
        "import atexit; atexit.register(lambda: (heap.alloc(64), heap.live(.3))); " + WORK,
        {("orderly", None)},
    ),
    "becomes another program": (WORK + "os.execv('/bin/sleep', ['sleep', '.3'])", set[tuple[str, None]]()),
    "closes all files": (WORK + "os.closerange(3, 4096)", set[tuple[str, None]]()),
}


GREETING_AND_REPORT = 2
"""Frames: from the second on the server knows that the program holds memory of a GPU."""
CHILD: dict[str, tuple[str, str | None]] = {"exit": ("orderly", None), "exception": ("exception", "ValueError")}


def manner(process_exit: ProcessExit) -> tuple[str, str | None]:
    return process_exit.ended, process_exit.exception


@pytest.mark.parametrize("name", ENDS)
def test_how_a_program_ended_is_told_and_changes_nothing(name: str, tmp_path: Path) -> None:
    code, expected = ENDS[name]
    with AgentServer(tmp_path) as server:
        seen = server.run(["-c", code])
        exits = server.wait_for(
            lambda sample: not sample.cost["agents"] and len(sample.process_exits) >= bool(expected)
        )
    assert {manner(process_exit) for process_exit in exits.process_exits} <= expected
    assert all(process_exit.gpu_uuids == ("GPU-0",) for process_exit in exits.process_exits)
    alone = run(["-c", code], plain_environment())
    assert (seen.returncode, seen.stdout, seen.stderr) == (alone.returncode, alone.stdout, alone.stderr)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("end", CHILD)
def test_children_that_leave_by_os_exit_say_goodbye_first(method: str, end: str, tmp_path: Path) -> None:
    if sys.version_info >= (3, 13) and end == "exception":
        pytest.skip("there the exception is gone before anybody hears of the end")
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    with AgentServer(tmp_path) as server:
        server.run([str(script), method, end])
        exits = server.wait_for(lambda sample: len(sample.process_exits) == 2).process_exits
    assert sorted(map(manner, exits)) == sorted([CHILD[end], ("orderly", None)])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    socket = str(tmp_path / "agent.sock")
    words = ("--data-dir", str(tmp_path / "data"), "--agent-socket", socket, "--interval", "100ms")
    with RunningServer(tmp_path, *words) as server:
        yield server


def agents(server: RunningServer) -> dict[str, float]:
    """What the server says of all agents together."""
    with urlopen(f"{server.url}/vram", timeout=PATIENCE_SECONDS) as answer:
        sources = {source["name"]: source for source in json.load(answer)["sources"]}
    return sources["agents"]["cost"]


def crashes(server: RunningServer) -> list[dict[str, object]]:
    with urlopen(f"{server.url}/vram/events?kind=crash", timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)["events"]


def test_a_killed_program_makes_a_dump_whose_report_leads_with_it(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = agent_environment(tmp_path / "agent.sock")
    for name in ("success", "exit 3", "becomes another program", "closes all files", "interrupt"):
        run(["-c", ENDS[name][0]], environment)
    until(lambda: agents(server)["agents"] == 0)
    frames_before = agents(server)["frames_total"]
    program = subprocess.Popen(
        [sys.executable, "-c", USE_HEAP + "print('begun', flush=True); heap.live(60)"],
        env=environment,
        stdout=subprocess.PIPE,
    )
    with program:
        assert program.stdout is not None
        program.stdout.readline()
        until(lambda: agents(server)["frames_total"] >= frames_before + GREETING_AND_REPORT)
        program.send_signal(signal.SIGKILL)
    until(lambda: crashes(server))
    until(lambda: run(["-c", ENDS["exception"][0]], environment) and len(crashes(server)) > 1)
    until(lambda: list((tmp_path / "data" / "dumps").glob("*.bbdump")))
    (dump,) = (tmp_path / "data" / "dumps").glob("*.bbdump")
    assert dump.name.startswith(f"crash-{program.pid}-")
    assert [event["pid"] == program.pid for event in crashes(server)][:2] == [True, False]
    assert main(["report", str(dump), "--text"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].startswith("python")
    assert f"(pid {program.pid}) died" in text.splitlines()[0]
    assert "out of memory" not in text
    assert "a secret" not in server.log


def test_the_kernel_still_tells_of_whoever_is_not_waited_for() -> None:
    for code, expected in (
        ("import os; os.kill(os.getpid(), 11)", ("killed", signal.SIGSEGV, None)),
        ("import os; os._exit(3)", ("unknown", None, 3)),
        ("pass", ("orderly", None, 0)),
    ):
        zombie = subprocess.Popen([sys.executable, "-c", code])
        until(lambda: (found := exit_status.look(zombie.pid)) is None or found.is_dead)  # noqa: B023 - called at once
        facts = Procfs().look(zombie.pid)
        assert facts is not None
        process_exit = kernel_exit(process(zombie.pid, start_time=facts.start_time))
        assert process_exit is not None
        assert (process_exit.ended, process_exit.signal, process_exit.exit_code) == expected
        assert is_crash(process_exit) == (expected[0] == "killed")
        assert kernel_exit(process(zombie.pid, start_time=(facts.start_time or 0) - 100)) is None
        found = exit_status.look(zombie.pid)
        assert found is not None
        assert found.parent == os.getpid()
        assert parent_of_zombie(zombie.pid) == (os.getpid(), exit_status.name_of(os.getpid()))
        zombie.wait()
        assert exit_status.look(zombie.pid) is None


def test_a_program_whose_main_thread_has_ended_is_no_zombie() -> None:
    code = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
        "ctypes.CDLL(None).syscall(60, 0)"  # exit of this thread alone
    )
    if platform.machine() != "x86_64":
        pytest.skip("the number of the call is that of x86-64")
    program = subprocess.Popen([sys.executable, "-c", code])
    try:
        stat = Path(f"/proc/{program.pid}/stat")
        until(lambda: stat.read_text().rpartition(") ")[2].startswith("Z"))
        assert parent_of_zombie(program.pid) is None
    finally:
        program.kill()
        program.wait()


def test_whoever_lives_has_no_end() -> None:
    found = exit_status.look(os.getpid())
    assert found is not None
    assert (found.is_ending, found.wait_status, found.parent) == (False, None, os.getppid())
