"""The agent comes into programs that run already, goes, and comes again; the programs do not notice."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from blackbox.injection import handover, program
from blackbox.injection.objections import AGE_SECONDS_MIN, Objection
from tests import python314_environment
from tests.agent_rig import AgentServer
from tests.attach_rig import (
    KINDS,
    SLEEPS,
    STRIDE,
    TORCH_PYTHON,
    TORCH_VARIABLE,
    TRAINING,
    UNNOTICED,
    ask,
    asleep,
    blackbox,
    end,
    go_round,
    kill_at_every_step,
    running,
)
from tests.waiting import PATIENCE_SECONDS, until

ATTACHES = int(os.environ.get("BLACKBOX_TEST_ATTACHES", "3"))
"""Of each kind of program; by hand more."""
SYSTEM_PYTHON = "/usr/bin/python3"


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_does_not_notice(python: Path, tmp_path: Path, server: AgentServer, kind: str) -> None:
    go_round(python, tmp_path, server, kind, ATTACHES)


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


def test_two_at_once_are_one_agent(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with running(python, tmp_path, KINDS["busy"]) as target, ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(ask, target.pid, "attach", server) for _ in range(4)]
        assert [one.result().kind for one in asked] == ["connected"] * 4
        assert [row.pid for row in server.sample().allocators] == [target.pid]
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


@pytest.mark.parametrize("who", ["asker", "remote"])
def test_whoever_attaches_may_be_killed_at_every_step(
    python: Path, tmp_path: Path, server: AgentServer, who: str
) -> None:
    with running(python, tmp_path, KINDS["idle"]) as target:
        kill_at_every_step(who, target.pid, server, STRIDE)
        returncode, out, err = end(target, tmp_path)
        assert (returncode, out) == UNNOTICED[:2]
        assert err.count("Traceback") == err.count("Can't open debugger script"), "a letter that went too early"
        assert not err or who == "remote"


def test_the_commands_as_a_person_uses_them(python: Path, tmp_path: Path, server: AgentServer) -> None:
    with running(python, tmp_path, KINDS["idle"]) as target:
        pid, socket = str(target.pid), str(server.socket)
        until(lambda: program.look(target.pid).age_seconds >= AGE_SECONDS_MIN)
        looked = blackbox("attach", pid, "--dry-run", "--socket", socket)
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


def test_an_older_python_is_refused_with_the_other_ways(tmp_path: Path) -> None:
    with running(Path(sys.executable), tmp_path, KINDS["idle"]) as old:
        until(lambda: program.look(old.pid).age_seconds >= AGE_SECONDS_MIN)
        refused = blackbox("attach", str(old.pid), "--yes")
    if sys.version_info < (3, 14):
        assert refused.returncode == Objection.OLD_PYTHON.exit_code
        assert "--experimental" in refused.stderr
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
