"""Programs that run without the agent, into which the tests of attaching bring it."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blackbox.injection import handover, program
from tests import python314_environment
from tests.agent_rig import ROOT, AgentServer, other_python, plain_environment
from tests.waiting import PATIENCE_SECONDS, until

EXIT_CODE = 7
STRIDE = int(os.environ.get("BLACKBOX_TEST_STRIDE", "12"))
"""Of the steps at which whoever attaches is killed, every so many; by hand all of them (1)."""
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
PYTORCH = "pytorch"
"""A kind of program, where an interpreter has it."""
TORCH_VARIABLE = "BLACKBOX_PYTHON314_TORCH"
"""Names an interpreter of 3.14 that can import PyTorch."""
TORCH_PYTHON = os.environ.get(TORCH_VARIABLE)
TRAINING = """
import torch
torch.version.cuda = torch.version.cuda or "13.0"  # a build for CPUs has no probe
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


def python_of(version: str) -> str:
    """An interpreter of this version, such as `3.9`; without one the test is skipped."""
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    if version != "3.14":
        return other_python(version)
    try:
        return str(python314_environment.python())
    except python314_environment.NoPythonError as error:
        pytest.skip(str(error))


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


def ask(
    pid: int,
    task: handover.Task,
    server: AgentServer,
    wait: float = PATIENCE_SECONDS,
    mechanism: handover.Mechanism = "remote",
) -> handover.Outcome:
    return handover.ask(program.look(pid), task, str(server.socket), wait, mechanism=mechanism)


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


def go_round(
    python: Path,
    folder: Path,
    server: AgentServer,
    kind: str,
    rounds: int,
    mechanism: handover.Mechanism = "remote",
) -> list[handover.Outcome]:
    """The agent goes into a program of this kind, in again and out, so many times, and in; then the program ends as one
    that was left alone.
    """
    outcomes: list[handover.Outcome] = []
    reports = "heap,pytorch" if kind == PYTORCH else "heap"
    unnoticed = UNNOTICED
    if kind == PYTORCH:  # it changes the environment itself, and may warn
        (folder / "done").touch()
        with running(python, folder, TRAINING) as alone:
            unnoticed = end(alone, folder)
        (folder / "done").unlink()
        (folder / "done-training").unlink()
    with running(python, folder, KINDS.get(kind, TRAINING)) as target:
        if kind == PYTORCH:
            until((folder / "done-training").exists)

        def asked(task: handover.Task) -> tuple[str, str]:
            outcomes.append(ask(target.pid, task, server, mechanism=mechanism))
            return outcomes[-1].kind, ",".join(sorted(outcomes[-1].details.split(",")))

        for _ in range(rounds):
            assert asked("attach") == ("connected", reports), outcomes[-1]
            assert asked("attach") == ("connected", reports), f"a second time nothing changes: {outcomes[-1]}"
            server.wait_for(lambda sample: [row.pid for row in sample.allocators] == [target.pid])
            assert asked("detach")[0] == "detached", outcomes[-1]
            server.wait_for(lambda sample: not sample.allocators)
        assert asked("attach")[0] == "connected", outcomes[-1]
        returncode, out, err = end(target, folder)
        assert (returncode, out) == unnoticed[:2], (returncode, out, err)
        warned = kind == "forking" and "is multi-threaded" in err  # while the agent is brought in only
        assert err == unnoticed[2] or warned, err
    ended = server.wait_for(lambda sample: sample.process_exits).process_exits
    assert [(one.pid, one.ended) for one in ended] == [(target.pid, "orderly")], "detaching was taken for no end"
    return outcomes


def kill_at_every_step(who: str, pid: int, server: AgentServer, stride: int) -> None:
    """See `tests.killed_steps`."""
    killed = subprocess.run(
        [sys.executable, "-m", "tests.killed_steps", who, str(pid), str(server.socket), "0", str(stride)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 10,
        check=False,
    )
    assert killed.returncode == 0, killed.stderr
    assert int(killed.stdout.split()[1]) >= 2, "it ended before anything could be killed"
