"""The agent comes into older Pythons by a detour of their main thread; the programs do not notice."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blackbox.injection import handover, program
from blackbox.injection.detour.child import find_place
from blackbox.injection.detour.pending import LAYOUTS
from blackbox.injection.detour.tracing import stopped
from blackbox.injection.objections import AGE_SECONDS_MIN, Objection
from tests.agent_rig import PROGRAMS, ROOT, AgentServer, other_python
from tests.attach_rig import (
    KINDS,
    SLEEPS,
    STRIDE,
    UNNOTICED,
    ask,
    asleep,
    blackbox,
    end,
    go_round,
    kill_at_every_step,
    python_of,
    running,
)
from tests.waiting import PATIENCE_SECONDS, until

ATTACHES = int(os.environ.get("BLACKBOX_TEST_ATTACHES", "1"))
"""Of each kind of program; by hand more (`python -m tests.attach_matrix` takes every Python, too)."""
HERE = Path(sys.executable)
C_CALLS = """
import ctypes, threading
libc = ctypes.CDLL(None, use_errno=True)
reader, writer = os.pipe()
results = []
def call(name, *arguments):
    results.append((name, getattr(libc, name)(*arguments) == -1 and ctypes.get_errno()))
buffer = ctypes.create_string_buffer(1)
calls = [("poll", ctypes.create_string_buffer(bytes([reader % 256, reader // 256, 0, 0, 1, 0, 0, 0])), 1, -1),
         ("read", reader, buffer, 1), ("epoll_wait", libc.epoll_create1(0), ctypes.create_string_buffer(12), 1, 2000)]
threads = [threading.Thread(target=call, args=each) for each in calls]
[thread.start() for thread in threads]
while not done(): call("usleep", 20000)
os.write(writer, b"xx")
[thread.join() for thread in threads]
interrupted = [each for each in results if each[1] == 4]
print("interrupted", interrupted, flush=True)
"""
"""Other threads wait in calls of the C library, which would tell of an interruption; so does the main thread."""

TAKES_THE_LOCK = """
import ctypes
api = ctypes.PyDLL(None)
at = ctypes.addressof(ctypes.c_char.in_dll(api, "_PyRuntime"))
word = lambda address: ctypes.c_size_t.from_address(address).value
at = (at if {interpreter} == None else word(at + {interpreter})) + {queue} + {lock}
if {limits} == None:
    api.PyThread_acquire_lock.argtypes = api.PyThread_release_lock.argtypes = [ctypes.c_void_p, ctypes.c_int]
    api.PyThread_acquire_lock(word(at), 0)
    release = lambda: api.PyThread_release_lock(word(at), 0)
else:
    ctypes.memset(at, 1, 1)
    release = lambda: ctypes.memset(at, 0, 1)
open(sys.argv[1] + "-locked", "w").close()
while not os.path.exists(sys.argv[1] + "-release"): pass
release()
while not done(): time.sleep(.01)
"""
"""Its main thread holds the lock of the pending calls, as it does for some nanoseconds when it fetches one."""
SUBINTERPRETER = """
import _xxsubinterpreters
one = _xxsubinterpreters.create()
while not os.path.exists(sys.argv[1] + "-destroy"): time.sleep(.01)
_xxsubinterpreters.destroy(one)
open(sys.argv[1] + "-destroyed", "w").close()
while not done(): time.sleep(.01)
"""
ENDING = "import ctypes; c = ctypes.CDLL(None); c.on_exit(c.getchar, 0); print('ends', flush=True)"
"""Python is over, and the program waits in what the C library calls at its end."""

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the instructions are those of x86-64")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AgentServer]:
    with AgentServer(tmp_path) as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_does_not_notice(tmp_path: Path, server: AgentServer, kind: str) -> None:
    outcomes = go_round(HERE, tmp_path, server, kind, ATTACHES, "detour")
    assert all(outcome.stopped_seconds > 0 for outcome in outcomes)


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_nor_does_one_of_another_python(tmp_path: Path, server: AgentServer, version: str) -> None:
    go_round(Path(other_python(version)), tmp_path, server, "busy", ATTACHES, "detour")


@pytest.mark.parametrize("call", SLEEPS)
def test_it_comes_into_a_program_that_sleeps(tmp_path: Path, server: AgentServer, call: str) -> None:
    with asleep(HERE, tmp_path, SLEEPS[call]) as target:
        for _ in range(ATTACHES):
            outcome = ask(target.pid, "attach", server, mechanism="detour")
            assert (outcome.kind, outcome.details) == ("connected", "heap")
            assert program.look(target.pid).state == "S", "the sleep goes on"
            assert ask(target.pid, "detach", server, mechanism="detour").kind == "detached"
        target.send_signal(signal.SIGUSR1)
        assert end(target, tmp_path) == UNNOTICED


def test_no_call_of_any_thread_is_interrupted(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, C_CALLS) as target:
        until(lambda: len(list(Path(f"/proc/{target.pid}/task").iterdir())) == 4)
        for _ in range(max(3, ATTACHES)):
            assert ask(target.pid, "attach", server, mechanism="detour").kind == "connected"
            assert ask(target.pid, "detach", server, mechanism="detour").kind == "detached"
        returncode, out, err = end(target, tmp_path)
        assert out == "interrupted []\n" + UNNOTICED[1]
        assert (returncode, err) == (UNNOTICED[0], "")


def test_an_agent_that_is_out_costs_nothing(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, "import gc; gc.disable()\n" + KINDS["idle"]) as target:
        tasks, files = Path(f"/proc/{target.pid}/task"), Path(f"/proc/{target.pid}/fd")
        before = len(list(tasks.iterdir())), len(list(files.iterdir()))
        for _ in range(3):
            assert ask(target.pid, "attach", server, mechanism="detour").kind == "connected"
            until(lambda: len(list(tasks.iterdir())) == before[0] + 1)
            assert ask(target.pid, "detach", server, mechanism="detour").kind == "detached"
            until(lambda: (len(list(tasks.iterdir())), len(list(files.iterdir()))) == before)
        assert end(target, tmp_path) == UNNOTICED


def test_whoever_attaches_may_be_killed_at_every_step(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, KINDS["busy"]) as target:
        kill_at_every_step("detour", target.pid, server, STRIDE)
        assert end(target, tmp_path) == UNNOTICED


def test_two_at_once_are_one_agent(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, KINDS["busy"]) as target, ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(ask, target.pid, "attach", server, PATIENCE_SECONDS, "detour") for _ in range(4)]
        assert [one.result().kind for one in asked] == ["connected"] * 4
        assert [row.pid for row in server.sample().allocators] == [target.pid]
        assert end(target, tmp_path) == UNNOTICED


def test_a_request_is_taken_back(tmp_path: Path, server: AgentServer) -> None:
    work = "import ctypes\nctypes.PyDLL(None).usleep(1500000)\n" + KINDS["idle"]
    with running(HERE, tmp_path, work) as target:
        outcome = ask(target.pid, "attach", server, wait=0.1, mechanism="detour")
        assert outcome.kind == "taken-back", "what holds the interpreter lets nobody in"
        assert end(target, tmp_path) == UNNOTICED
    assert not server.sample().process_exits, "the agent was never in"


def test_a_program_that_is_stopped_or_debugged_stays_so(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, KINDS["idle"]) as target:
        target.send_signal(signal.SIGSTOP)
        until(lambda: program.look(target.pid).state == "T")
        outcome = ask(target.pid, "attach", server, mechanism="detour")
        assert (outcome.kind, outcome.details) == ("refused", "it is stopped")
        until(lambda: program.look(target.pid).state == "T")
        target.send_signal(signal.SIGCONT)
        until(lambda: program.look(target.pid).state != "T")
        with stopped(target.pid, lambda: None):
            outcome = ask(target.pid, "attach", server, mechanism="detour")
            assert (outcome.kind, outcome.details) == ("refused", "Operation not permitted")
        assert end(target, tmp_path) == UNNOTICED


def test_who_holds_the_lock_of_pending_calls_is_left_alone(tmp_path: Path, server: AgentServer) -> None:
    layout = LAYOUTS["{}.{}".format(*sys.version_info)]
    with running(HERE, tmp_path, TAKES_THE_LOCK.format(**layout._asdict())) as target:
        until((tmp_path / "done-locked").exists)
        outcome = ask(target.pid, "attach", server, mechanism="detour")
        assert (outcome.kind, "may hold the lock" in outcome.details) == ("refused", True)
        (tmp_path / "done-release").touch()
        assert ask(target.pid, "attach", server, mechanism="detour").kind == "connected"
        assert end(target, tmp_path) == UNNOTICED


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11"])
def test_an_older_python_with_subinterpreters_is_left_alone(tmp_path: Path, server: AgentServer, version: str) -> None:
    """Its call might be put into the queue of the wrong one."""
    with running(Path(python_of(version)), tmp_path, SUBINTERPRETER) as target:
        outcome = ask(target.pid, "attach", server, mechanism="detour")
        assert (outcome.kind, "has subinterpreters" in outcome.details) == ("refused", True)
        (tmp_path / "done-destroy").touch()
        until((tmp_path / "done-destroyed").exists)
        assert ask(target.pid, "attach", server, mechanism="detour").kind == "connected"
        assert end(target, tmp_path) == UNNOTICED


def test_an_interpreter_under_another_name(tmp_path: Path, server: AgentServer) -> None:
    python = Path(python_of("3.14"))
    if list(python.parent.parent.glob("lib/libpython*.so*")):
        pytest.skip("this Python lies in a library, whose name tells")
    renamed = tmp_path / "train-app"
    shutil.copy(python, renamed)
    with running(renamed, tmp_path, KINDS["busy"], PYTHONHOME=str(python.parent.parent)) as target:
        seen = program.look(target.pid)._replace(version=(3, 14))  # as a module of PyTorch would tell
        assert not program.is_interpreter(seen)
        outcome = handover.ask(seen, "attach", str(server.socket), PATIENCE_SECONDS, mechanism="detour")
        assert outcome.kind == "connected"
        assert end(target, tmp_path) == UNNOTICED


@pytest.mark.parametrize("version", LAYOUTS)
def test_a_python_that_is_over_is_not_called(version: str) -> None:
    with subprocess.Popen([python_of(version), "-c", ENDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        assert target.stdin is not None
        assert target.stdout is not None
        assert target.stdout.read(4) == b"ends"
        until(lambda: program.look(target.pid).state == "S")
        outcome = handover.ask(program.look(target.pid), "attach", "/nowhere", 1.0, mechanism="detour")
        assert outcome.kind == "taken-back"
        target.stdin.write(b"\n")
        target.stdin.close()
        assert target.wait(PATIENCE_SECONDS) == 0


def test_what_it_leaves_is_found_again(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, KINDS["idle"]) as target:
        memory = os.open(f"/proc/{target.pid}/mem", os.O_RDWR)
        version = "{}.{}".format(*sys.version_info)
        before = find_place(target.pid, memory, version)
        assert ask(target.pid, "attach", server, mechanism="detour").kind == "connected"
        after = find_place(target.pid, memory, version)
        assert after.cave == before.cave
        assert os.pread(memory, 1, after.cave.address) == b"\0", "what is queued runs nothing"
        os.close(memory)
        assert end(target, tmp_path) == UNNOTICED


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a container")
def test_a_program_in_a_container_without_a_mount(tmp_path: Path) -> None:
    programs, runtime, inside = tmp_path / "programs", tmp_path / "server", tmp_path / "python"
    shutil.copytree(PROGRAMS, programs)
    runtime.mkdir()
    hidden = " && ".join(f"mount -t tmpfs none {folder}" for folder in (ROOT / "src", runtime))
    container = "unshare --mount --pid --fork --mount-proc --net --ipc --user --map-root-user"
    inside.write_text(f'#!/bin/sh\nexec {container} sh -c \'{hidden} && exec "$@"\' sh {HERE} "$@"\n')
    inside.chmod(0o755)
    if subprocess.run([inside, "-c", "pass"], capture_output=True, timeout=PATIENCE_SECONDS, check=False).returncode:
        pytest.skip("no namespace can be made here")
    with (
        AgentServer(runtime) as server,
        running(inside, tmp_path, KINDS["idle"], PYTHONPATH=str(programs)) as outer,
    ):
        pid = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        assert {"mnt", "pid", "user"} <= set(program.look(pid).namespaces)
        assert not Path(f"/proc/{pid}/root{runtime}/agent.sock").exists()
        for _ in range(2):
            assert ask(pid, "attach", server, mechanism="detour")[:2] == ("connected", "heap")
            server.wait_for(lambda sample: [row.pid for row in sample.allocators] == [pid])
            assert ask(pid, "detach", server, mechanism="detour").kind == "detached"
        handed = [link for one in Path(f"/proc/{pid}/fd").iterdir() if int(link := one.name) >= 250]
        for one in handed:
            folder = Path(f"/proc/{pid}/fd/{one}")
            assert not (folder / ".." / ROOT.name).exists(), "no way out of the container"
            with pytest.raises(OSError, match="Read-only"):
                (folder / "written").touch()
        assert len(handed) == 2
        assert end(outer, tmp_path) == UNNOTICED


def test_the_commands_as_a_person_uses_them(tmp_path: Path, server: AgentServer) -> None:
    with running(HERE, tmp_path, KINDS["idle"]) as target:
        pid, socket = str(target.pid), str(server.socket)
        until(lambda: program.look(target.pid).age_seconds >= AGE_SECONDS_MIN)
        if sys.version_info < (3, 14):
            plain = blackbox("attach", pid, "--dry-run", "--socket", socket)
            assert "only with --experimental" in plain.stdout
            assert plain.returncode == Objection.OLD_PYTHON.exit_code
        looked = blackbox("attach", pid, "--dry-run", "--experimental", "--socket", socket)
        assert (looked.returncode, looked.stderr) == (0, "")
        assert "by ptrace (experimental)" in looked.stdout
        done = blackbox("attach", pid, "--experimental", "--yes", "--socket", socket)
        assert done.returncode == 0, done.stderr
        assert "stops its main thread" in done.stderr
        assert "one thread of it was stopped for" in done.stdout
        assert "reports heap" in done.stdout
        gone = blackbox("detach", pid, "--experimental", "--yes")
        assert (gone.returncode, "the agent is out" in gone.stdout) == (0, True)
        assert end(target, tmp_path) == UNNOTICED
