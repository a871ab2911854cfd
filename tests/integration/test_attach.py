"""The agent comes into programs that run already, goes, and comes again; the programs do not notice."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from blackbox.injection import handover, program
from blackbox.injection.objections import AGE_SECONDS_MIN, Objection
from tests import python314_environment
from tests.agent_rig import AgentServer, plain_environment
from tests.waiting import PATIENCE_SECONDS, until

ATTACHES = int(os.environ.get("BLACKBOX_TEST_ATTACHES", "3"))
"""Of each kind of program; by hand more."""
EXIT_CODE = 7
SYSTEM_PYTHON = "/usr/bin/python3"
KINDS = {
    "idle": "while not done(): time.sleep(.01)",
    "busy": """
import threading
def spin():
    while not done(): sum(range(1000))
threads = [threading.Thread(target=spin) for _ in range(4)]
[thread.start() for thread in threads]
while not done(): time.sleep(.01)
[thread.join() for thread in threads]
""",
    "allocating": "while not done(): [bytearray(size) for size in range(1, 20000, 500)]",
    "forking": """
while not done():
    child = os.fork()
    child or os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
""",
    "starting others": """
import subprocess
while not done(): subprocess.run(["/bin/true"], check=True)
""",
    "asyncio": """
import asyncio
async def main():
    while not done(): await asyncio.gather(*(asyncio.sleep(.001) for _ in range(10)))
asyncio.run(main())
""",
    "importing": """
import importlib, json
while not done(): importlib.reload(json)
""",
}
TORCH_VARIABLE = "BLACKBOX_PYTHON314_TORCH"
"""Names an interpreter of 3.14 that can import PyTorch."""
TORCH_PYTHON = os.environ.get(TORCH_VARIABLE)
TRAINING = """
import torch
torch.version.cuda = "13.0"  # a build for CPUs has no probe
def train():
    torch.manual_seed(7)
    model = torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(torch.ones(8, 32)).square().mean()
        loss.backward()
        optimizer.step()
    return loss.item()
alone = train()
open(sys.argv[1] + "-training", "w").close()
while not done(): assert train() == alone
"""
SLEEPS = {
    "sleep": "time.sleep(3600)",
    "queue.get": "queue.Queue().get()",
    "select": "select.select([os.pipe()[0]], [], [])",
}
ASLEEP = """
import queue, select, signal
class Woken(Exception): pass
def wake(*_): raise Woken
signal.signal(signal.SIGUSR1, wake)
try:
    {call}
except Woken:
    pass
while not done(): time.sleep(.01)
"""
PROGRAM = """
import os, sys, time
import blackbox_heap as heap
heap.alloc(4096)
done = lambda: os.path.exists(sys.argv[1])
before = list(sys.path), dict(os.environ)
print("begun", flush=True)
{work}
changed = sorted(name for name in globals() if "blackbox" in name)
print(before == (list(sys.path), dict(os.environ)), changed, "done", flush=True)
sys.exit({code})
"""


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return python314_environment.python()
    except python314_environment.NoPythonError as error:
        pytest.skip(str(error))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AgentServer]:
    with AgentServer(tmp_path) as started:
        yield started


@contextmanager
def running(python: Path, folder: Path, work: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """A program without the agent, until it finds the file `done`."""
    environment = plain_environment() | {
        "BLACKBOX_AGENT_INTERVAL": "0.05",
        "BLACKBOX_AGENT_BUDGET": "50",
        "BLACKBOX_AGENT_PROBES": "blackbox_heap=heap_probe",
    }
    started = subprocess.Popen(
        [python, "-c", PROGRAM.format(work=work, code=EXIT_CODE), str(folder / "done")],
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == "begun\n"
        yield started
    finally:
        started.kill()
        started.communicate()


def end(running: "subprocess.Popen[str]", folder: Path) -> tuple[int, str, str]:
    """How the program ends, and all that it wrote."""
    (folder / "done").touch()
    out, err = running.communicate(timeout=PATIENCE_SECONDS)
    return running.returncode, out, err


UNNOTICED = (EXIT_CODE, "True [] done\n", "")


def ask(pid: int, task: handover.Task, server: AgentServer, wait: float = PATIENCE_SECONDS) -> handover.Outcome:
    return handover.ask(program.look(pid), task, str(server.socket), wait)


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_does_not_notice(python: Path, tmp_path: Path, server: AgentServer, kind: str) -> None:
    with running(python, tmp_path, KINDS[kind]) as target:
        for _ in range(ATTACHES):
            outcome = ask(target.pid, "attach", server)
            assert (outcome.kind, outcome.details) == ("connected", "heap")
            assert ask(target.pid, "attach", server)[:2] == ("connected", "heap"), "a second time nothing changes"
            server.wait_for(lambda sample: [row.pid for row in sample.allocators] == [target.pid])
            assert ask(target.pid, "detach", server).kind == "detached"
            server.wait_for(lambda sample: not sample.allocators)
        assert ask(target.pid, "attach", server).kind == "connected"
        returncode, out, err = end(target, tmp_path)
        assert (returncode, out) == UNNOTICED[:2]
        assert not err or (kind == "forking" and "is multi-threaded" in err), "told while the agent is brought in only"
    ended = server.wait_for(lambda sample: sample.process_exits).process_exits
    assert [(one.pid, one.ended) for one in ended] == [(target.pid, "orderly")], "detaching was taken for no end"


@pytest.mark.slow
def test_a_real_pytorch_does_not_notice(tmp_path: Path, server: AgentServer) -> None:
    if TORCH_PYTHON is None:
        pytest.skip(f"{TORCH_VARIABLE} names no Python 3.14 with PyTorch")
    (tmp_path / "done").touch()
    with running(Path(TORCH_PYTHON), tmp_path, TRAINING) as target:
        unnoticed = end(target, tmp_path)
    (tmp_path / "done").unlink()
    (tmp_path / "done-training").unlink()
    with running(Path(TORCH_PYTHON), tmp_path, TRAINING) as target:
        until((tmp_path / "done-training").exists)
        for _ in range(ATTACHES):
            outcome = ask(target.pid, "attach", server)
            assert (outcome.kind, outcome.details) == ("connected", "pytorch,heap")
            server.wait_for(lambda sample: [row.pid for row in sample.allocators] == [target.pid])
            assert ask(target.pid, "detach", server).kind == "detached"
            server.wait_for(lambda sample: not sample.allocators)
        assert ask(target.pid, "attach", server).kind == "connected"
        assert end(target, tmp_path) == unnoticed


def test_forks_under_the_agent_are_silent(python: Path, tmp_path: Path, server: AgentServer) -> None:
    patient = f"sys.modules['blackbox.agent.runtime'].FORK_STOP_SECONDS_MAX = {PATIENCE_SECONDS}"
    forks = "for _ in range(50):\n  os.fork() or os._exit(0)\n  os.wait()"
    work = f"while not done(): time.sleep(.01)\n{patient}\n{forks}"
    with running(python, tmp_path, work) as target:
        assert ask(target.pid, "attach", server).kind == "connected"
        until(lambda: len(list(Path(f"/proc/{target.pid}/task").iterdir())) == 2)
        assert end(target, tmp_path) == UNNOTICED


def test_an_agent_that_is_out_costs_nothing(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with running(python, tmp_path, KINDS["idle"]) as target:
        tasks, files = Path(f"/proc/{target.pid}/task"), Path(f"/proc/{target.pid}/fd")
        before = len(list(tasks.iterdir())), len(list(files.iterdir()))
        assert ask(target.pid, "attach", server).kind == "connected"
        until(lambda: len(list(tasks.iterdir())) == before[0] + 1)
        assert ask(target.pid, "detach", server).kind == "detached"
        until(lambda: (len(list(tasks.iterdir())), len(list(files.iterdir()))) == before)
        assert end(target, tmp_path) == UNNOTICED


@contextmanager
def asleep(python: Path, folder: Path, call: str) -> Iterator["subprocess.Popen[str]"]:
    """A program whose main thread waits in this call until it is sent `SIGUSR1`."""
    with running(python, folder, ASLEEP.format(call=call)) as target:
        until(lambda: catches(target.pid, signal.SIGUSR1) and program.look(target.pid).state == "S")
        yield target


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the program has a handler for the signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (number - 1) & 1)


@pytest.mark.parametrize("call", SLEEPS)
def test_a_request_is_taken_back_while_the_main_thread_sleeps(
    python: Path, tmp_path: Path, server: AgentServer, call: str
) -> None:
    with asleep(python, tmp_path, SLEEPS[call]) as target:
        assert ask(target.pid, "attach", server, wait=0.2).kind == "taken-back"
        target.send_signal(signal.SIGUSR1)
        assert end(target, tmp_path) == UNNOTICED, "no traceback of a script that is gone"
    assert not server.sample().process_exits


def test_the_child_that_asks_may_be_killed(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with asleep(python, tmp_path, SLEEPS["sleep"]) as target, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask, target.pid, "attach", server)
        os.kill(until(child_that_asked), signal.SIGKILL)
        outcome = asking.result()
        assert (outcome.kind, "taken back" in outcome.details) == ("refused", True)
        target.send_signal(signal.SIGUSR1)
        assert end(target, tmp_path) == UNNOTICED, "no traceback of a script that is gone"


def child_that_asked() -> int:
    """The one that has handed a letter to the program: it waits with the letter in its hand. 0 where there is none."""
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError):
                links = [str(one.readlink()) for one in Path(f"/proc/{child}/fd").iterdir()]
                letter = any("blackbox-letter" in link for link in links)
                if letter and program.look(int(child)).state == "S":
                    return int(child)
    return 0


def test_a_program_that_sleeps_is_told_as_one(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with asleep(python, tmp_path, SLEEPS["sleep"]) as target:
        until(lambda: program.look(target.pid).age_seconds >= AGE_SECONDS_MIN)
        refused = blackbox("attach", str(target.pid), "--yes", "--wait", "1.5s", "--socket", str(server.socket))
        assert refused.returncode == Objection.NOT_RUN.exit_code
        assert "waiting up to 1.5 s" in refused.stderr
        assert refused.stderr.count("its main thread sleeps in a call") == 2, "while it waits, and why it was in vain"
        target.send_signal(signal.SIGUSR1)
        assert end(target, tmp_path) == UNNOTICED


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_whoever_attaches_may_be_killed_at_any_time(
    python: Path, tmp_path: Path, server: AgentServer, delay: float
) -> None:
    code = (
        "from blackbox.injection import handover, program; "
        f"handover.ask(program.look({{}}), 'attach', {str(server.socket)!r}, 60)"
    )
    with running(python, tmp_path, KINDS["idle"]) as target:
        attacher = subprocess.Popen([sys.executable, "-c", code.format(target.pid)])
        time.sleep(delay)
        attacher.send_signal(signal.SIGKILL)
        attacher.wait()
        assert ask(target.pid, "attach", server).kind in ("connected", "attached"), (
            "the killed one's may still be at it"
        )
        server.wait_for(lambda sample: [row.pid for row in sample.allocators] == [target.pid])
        assert end(target, tmp_path) == UNNOTICED


def blackbox(*arguments: str, typed: str | None = None) -> "subprocess.CompletedProcess[str]":
    """The command line; with `typed`, on a terminal."""
    command = [sys.executable, "-m", "blackbox", *arguments]
    if typed is None:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    controller, terminal = pty.openpty()
    os.write(controller, typed.encode())
    try:
        return subprocess.run(
            command, stdin=terminal, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    finally:
        os.close(controller)
        os.close(terminal)


def test_the_commands_as_a_person_uses_them(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with running(python, tmp_path, KINDS["idle"]) as target:
        pid, socket = str(target.pid), str(server.socket)
        until(lambda: program.look(target.pid).age_seconds >= AGE_SECONDS_MIN)
        looked = blackbox("attach", pid, "--dry-run")
        assert (looked.returncode, looked.stderr) == (0, "")
        assert "3.14" in looked.stdout
        assert "nothing speaks against it" in looked.stdout
        assert blackbox("attach", pid, "--socket", socket).returncode == 2, "nobody to ask"
        refused = blackbox("attach", pid, "--socket", socket, typed="n\n")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert not server.sample().allocators
        nowhere = blackbox("attach", pid, "--yes", "--socket", str(tmp_path / "nowhere"))
        assert nowhere.returncode == Objection.NO_SERVER.exit_code
        done = blackbox("attach", pid, "--socket", socket, typed="y\n")
        assert done.returncode == 0, done.stderr
        assert "reports heap" in done.stdout
        assert "experimental" in done.stderr
        server.wait_for(lambda sample: sample.allocators)
        gone = blackbox("detach", pid, "--yes")
        assert (gone.returncode, "the agent is out" in gone.stdout) == (0, True)
        target.send_signal(signal.SIGSTOP)
        until(lambda: program.look(target.pid).state == "T")
        stopped = blackbox("attach", pid, "--yes", "--socket", socket)
        assert stopped.returncode == Objection.STOPPED.exit_code
        assert "Other ways in" in stopped.stderr
        target.send_signal(signal.SIGCONT)
        assert end(target, tmp_path) == UNNOTICED
    after = blackbox("attach", pid, "--yes")
    assert (after.returncode, after.stderr.splitlines()[0]) == (
        Objection.GONE.exit_code,
        f"blackbox attach: there is no process {pid}",
    )


def test_an_older_python_is_refused_with_the_other_ways() -> None:
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as old:
        assert old.stdout is not None
        old.stdout.readline()
        refused = blackbox("attach", str(old.pid), "--yes")
        assert old.stdin is not None
        old.stdin.write(b"\n")
    if sys.version_info < (3, 14):
        assert refused.returncode == Objection.OLD_PYTHON.exit_code
        assert "only 3.14 and newer" in refused.stderr
        assert "blackbox run" in refused.stderr


def test_remote_debugging_that_is_switched_off(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with running(python, tmp_path, KINDS["idle"], PYTHON_DISABLE_REMOTE_DEBUG="1") as target:
        outcome = ask(target.pid, "attach", server)
        assert outcome.kind == "refused"
        assert "not enabled" in outcome.details
        assert end(target, tmp_path) == UNNOTICED


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to start a program of another user")
@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason=f"no {SYSTEM_PYTHON}, which every user may run")
def test_root_runs_another_users_interpreter_as_that_user(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os\ndef main(pid, size): print('failed', os.getuid(), os.getgid(), *os.getgroups())"
    monkeypatch.setattr(handover, "_source", lambda module: code)
    theirs = program.look(os.getpid())._replace(executable=SYSTEM_PYTHON, ids=program.Ids(65534, 65533, (4,)))
    outcome = handover.ask(theirs, "attach", "", PATIENCE_SECONDS)
    assert (outcome.kind, outcome.details) == ("failed", "65534 65533 4")
