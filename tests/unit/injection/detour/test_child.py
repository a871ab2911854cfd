"""What the program runs, and who may fetch its task."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from unittest.mock import Mock

import pytest

from blackbox.injection.detour import child
from blackbox.injection.detour.cave import TEXT_BYTES, Cave, Names
from blackbox.injection.detour.elf import Function
from blackbox.injection.detour.outside import Handed, listen
from blackbox.injection.detour.tracing import StopError
from tests.waiting import PATIENCE_SECONDS, until

VERSION = "{}.{}".format(*sys.version_info)
TASK = b"door.sendall(b'done ' + str(sorted(globals())).encode())\ndoor.close()\n"


def text(pid: int, name: str = "blackbox-test", token: str = "a" * 32) -> str:
    data = child.line(pid, name, token)
    assert len(data) == TEXT_BYTES
    assert data.endswith(b"\0")
    return data.rstrip(b"\0").decode()


def request(task: bytes = TASK) -> tuple[str, dict[str, object]]:
    """Runs the line here, and serves it."""
    made = child.Request(os.getpid(), 0, VERSION, "")
    namespace: dict[str, object] = {}
    with listen(os.getpid(), made._name) as door:
        exec(text(os.getpid(), made._name, made._token), namespace)
        answer = made._served(door, task, Handed([]), PATIENCE_SECONDS)
    assert answer is not None
    return answer, namespace


@pytest.fixture(autouse=True)
def open_input() -> object:
    """Standard input that does not end."""
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    yield
    os.dup2(kept, 0)
    for one in (reader, writer, kept):
        os.close(one)


def test_the_line_binds_no_name_and_fetches_the_task() -> None:
    answer, namespace = request()
    assert answer.startswith("done ")
    assert set(namespace) == {"__builtins__"}


def test_the_longest_line_fits() -> None:
    text(2**22, f"blackbox-{'f' * 16}")


def test_a_child_that_was_forked_runs_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{text(1)}\nimport _thread; print(_thread._count())"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_where_nobody_listens_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    exec(text(os.getpid(), "blackbox-nobody"))
    until(lambda: len(list(Path("/proc/self/task").iterdir())) == before)
    assert capfd.readouterr() == ("", "")


def test_who_does_not_know_the_token_has_nothing_run(tmp_path: Path) -> None:
    """Another may take the name of the door once the one who listened is gone."""
    ran = tmp_path / "ran"
    task = f"open({str(ran)!r}, 'w')".encode()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("\0blackbox-taken")
        door.listen()
        exec(text(os.getpid(), "blackbox-taken", "a" * 32))
        theirs, _ = door.accept()
        with theirs:
            theirs.sendall(b"b" * 32 + f"{len(task):08x}".encode() + task)
            with suppress(ConnectionResetError):
                assert theirs.recv(1) == b"", "it hangs up"
    assert not ran.exists()


def test_nobody_else_is_given_the_task() -> None:
    made = child.Request(os.getppid(), 0, VERSION, "")
    with listen(os.getpid(), made._name) as door, socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(f"\0{made._name}")
        assert made._served(door, TASK, Handed([]), PATIENCE_SECONDS) is None
        assert stranger.recv(100) == b""


def test_the_end_of_input_does_not_cut_one_off_who_is_at_it() -> None:
    os.close(os.dup(0))
    reader, writer = os.pipe()
    os.dup2(reader, 0)
    os.close(writer)
    os.close(reader)
    assert request(b"import time; time.sleep(.1)\n" + TASK)[0].startswith("done ")


def test_its_number_in_a_container_is_another() -> None:
    assert child.inner_pid(os.getpid()) == os.getpid()


def test_a_library_that_is_only_called_so_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    bases, pythons, stacks = child._maps(os.getpid())
    monkeypatch.setattr(child, "_maps", lambda pid: (bases, (pythons[-1] + 8, 8, *pythons), stacks))
    with open("/proc/self/mem", "rb", 0) as memory:  # noqa: PTH123
        try:
            child.find_place(os.getpid(), memory.fileno(), VERSION)
        except child.RefusedError as error:
            pytest.skip(str(error))


def test_a_program_without_python_is_refused() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as program:
        thread = Thread(target=lambda: None)
        thread.start()
        thread.join()
        until(lambda: Path(f"/proc/{program.pid}/comm").read_text() == "cat\n")
        with (
            open(f"/proc/{program.pid}/mem", "rb", 0) as memory,  # noqa: PTH123
            pytest.raises(child.RefusedError, match="does not export"),
        ):
            child.find_place(program.pid, memory.fileno(), VERSION)
        assert program.stdin is not None
        program.stdin.close()


def test_one_that_nobody_has_waited_for_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        made = child.Request(program.pid, child.began(program.pid)[0], VERSION, "")
        assert not made.has_ended()
        memory = os.open(f"/proc/{program.pid}/mem", os.O_RDWR)
        program.kill()
        until(made.has_ended)
        assert Path(f"/proc/{program.pid}").exists()
        made._blank(place(memory))
    assert made.has_ended()
    os.close(memory)


def test_another_program_with_its_number_is_not_it() -> None:
    assert child.Request(os.getpid(), child.began(os.getpid())[0] - 1, VERSION, "").has_ended()


def test_where_the_line_can_be_taken_back_by_a_debugger_alone_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of newer kernels that are set so: `EIO` for everybody else. A thread that does not stop ends the request."""
    made = child.Request(os.getpid(), child.began(os.getpid())[0], VERSION, "")
    memory = os.open("/proc/self/mem", os.O_RDONLY)  # a write fails
    monkeypatch.setattr(made, "_stopped", Mock(side_effect=StopError("late")))
    with pytest.raises(StopError):
        made._blank(place(memory))
    os.close(memory)


def place(memory: int) -> child.ProgramLayout:
    """Of a program with this memory, its cave at the beginning, where nothing can be written."""
    names = Names(*[Function(0x1000, 16)] * 6)
    return child.ProgramLayout(memory, Cave(0, b""), names, None, ())
