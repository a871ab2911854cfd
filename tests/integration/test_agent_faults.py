"""Rows 36 to 39 of the fault catalogue: agents that lie, flood and intrude."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from blackbox.model.sample import Sample
from blackbox.sources.agents import connection
from blackbox.sources.agents.decode import Message, decode
from blackbox.sources.agents.unix_socket import UnixListener, UnixListenerError
from blackbox.wire import HEADER, MAGIC, MAX_PAYLOAD_BYTES, VERSION, Frame, FrameKind
from blackbox.wire.message import BLOCKS_MAX, pack_hello, pack_report
from blackbox.wire.report import AllocatorReport, BlockColumns, Cost, Hello, Report
from tests.agent_rig import USE_HEAP, AgentServer, Listener, agent_environment, run
from tests.two_users import open_folder
from tests.waiting import PATIENCE_SECONDS, until

LIVE = USE_HEAP + "heap.live(60)"
MIB = 1024 * 1024
GROWTH_BYTES_MAX = 64 * MIB
OTHER_UID = 54321
ATTEMPTS = 1000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

HELLO = pack_hello(Hello(1, 0, 0))
COST = Cost(0.0, 0, 0)


def report(rows: int, gpu_uuid: str = "GPU-0") -> bytes:
    columns = BlockColumns(range(0, rows * 512, 512), [512] * rows, [1] * rows)
    allocator = AllocatorReport(gpu_uuid, 512 * rows, 512 * rows, blocks=columns)
    return pack_report(Report("heap", time.monotonic(), (allocator,)), COST)


def header(length: int, kind: int = FrameKind.REPORT) -> bytes:
    return HEADER.pack(MAGIC, VERSION, kind, length)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    with Listener(tmp_path / "agent.sock") as listener:
        yield listener


@contextlib.contextmanager
def witness(listener: Listener) -> Iterator[Callable[[], None]]:
    """An honest agent beside the attack; what it gives asserts that this one is still heard."""
    environment = agent_environment(listener.socket)
    program = subprocess.Popen([sys.executable, "-c", LIVE], env=environment)
    try:

        def is_heard() -> None:
            begun = time.monotonic()
            listener.wait_for(lambda sample: any(is_fresh(one, begun) for one in sample.allocators))

        def is_fresh(allocator: object, begun: float) -> bool:
            return getattr(allocator, "pid", 0) == program.pid and getattr(allocator, "taken_at", 0) > begun

        is_heard()
        yield is_heard
    finally:
        program.kill()
        program.wait()


def say(path: Path, *parts: bytes) -> bool:
    """Sends all; whether the listener then cut us off."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(20)
        agent.connect(str(path))
        try:
            for part in parts:
                agent.sendall(part)
            while agent.recv(4096):  # its welcome
                pass
        except (BrokenPipeError, ConnectionResetError):
            return True
        except TimeoutError:
            return False
    return True


GARBAGE = {
    "noise": (os.urandom(4096),),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a report without a hello": (report(1),),
    "two hellos": (HELLO, HELLO),
    "a hello of a gibibyte": (header(1 << 30, FrameKind.HELLO),),
    "a report of a gibibyte": (HELLO, header(1 << 30)),
    "a report of zeros": (HELLO, header(MAX_PAYLOAD_BYTES), bytes(MAX_PAYLOAD_BYTES)),
    "JSON bombs": (HELLO, header(4 + 200_000), (200_000).to_bytes(4, "little"), b"[" * 200_000),
    "another process": (pack_hello(Hello(1, 0, 99)), report(1)),
    "a kind of the daemon's": (HELLO, header(0, FrameKind.SAMPLE)),
}


def test_a_greeting_and_a_large_report_in_one_piece_are_no_garbage(listener: Listener) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(str(listener.socket))
        agent.sendall(HELLO + report(10_000))
        sample = listener.wait_for(lambda sample: sample.allocators)
    (allocator,) = sample.allocators
    assert len(allocator.blocks or ()) == 10_000
    assert sample.cost["agents_cut_off_total"] == 0


@pytest.mark.fault(36)
@pytest.mark.parametrize("name", GARBAGE)
def test_row_36_garbage_cuts_off_the_agent_that_sent_it(name: str, listener: Listener) -> None:
    with witness(listener) as is_heard:
        assert say(listener.socket, *GARBAGE[name])
        is_heard()
        assert listener.sample().cost["agents_cut_off_total"] == 1


@pytest.mark.fault(36)
@pytest.mark.slow
def test_row_36_floods_stay_within_memory_and_leave_the_others_heard(listener: Listener) -> None:
    largest, small = report(BLOCKS_MAX), report(1)
    with witness(listener) as is_heard:
        before = listener.resident_bytes
        with contextlib.ExitStack() as stack:
            for flood in ([HELLO, *[largest] * 20], [HELLO, *[small * 1000] * 100]):
                stack.enter_context(_flooding(listener.socket, flood))
            for _ in range(3):
                is_heard()
                assert listener.resident_bytes - before < GROWTH_BYTES_MAX
        until(lambda: listener.sample().cost["agents"] == 1)


@pytest.mark.fault(36)
def test_row_36_frames_that_never_end_do_not_fill_the_memory(listener: Listener) -> None:
    children = 12
    code = (
        "import os, socket, sys, time\n"
        f"for _ in range({children}):\n"
        "  if not os.fork():\n"
        "    one = socket.socket(socket.AF_UNIX); one.connect(sys.argv[1])\n"
        "    try: one.sendall(bytes.fromhex(sys.argv[2])); one.sendall(bytes(8 << 20)[:-1])\n"
        "    except OSError: pass\n"
        "    time.sleep(60)\n"
        "time.sleep(60)"
    )
    with witness(listener) as is_heard:
        before = listener.resident_bytes
        begun = (HELLO + header(MAX_PAYLOAD_BYTES)).hex()
        program = subprocess.Popen([sys.executable, "-c", code, listener.socket, begun], start_new_session=True)
        try:
            listener.wait_for(lambda sample: sample.cost["agents_cut_off_total"] >= children - 4)
            is_heard()
            assert listener.resident_bytes - before < GROWTH_BYTES_MAX
        finally:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


@pytest.mark.fault(36)
def test_row_36_a_fault_of_ours_costs_the_agent_that_met_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def decode_with_a_bug(frame: Frame) -> Message:
        if b"GPU-CURSED" in frame.payload:
            raise ZeroDivisionError
        return decode(frame)

    monkeypatch.setattr(connection, "decode", decode_with_a_bug)
    with AgentServer(tmp_path) as server, server.program(["-c", LIVE]) as program:
        assert say(server.socket, HELLO, report(1, "GPU-CURSED"))
        server.wait_for(lambda sample: [one.pid for one in sample.allocators] == [program.pid])
    assert "fault while agent" in caplog.text


@contextlib.contextmanager
def _flooding(path: Path, parts: list[bytes]) -> Iterator[None]:
    """Another process that sends this over and over."""
    code = (
        "import socket, sys\n"
        "one = socket.socket(socket.AF_UNIX); one.connect(sys.argv[1]); data = sys.stdin.buffer.read()\n"
        "try: one.sendall(data)\nexcept OSError: pass\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE)
    assert program.stdin
    with contextlib.suppress(BrokenPipeError):
        program.stdin.write(b"".join(parts))
        program.stdin.close()
    try:
        yield
    finally:
        program.kill()
        program.wait()


CLAIM = """
import os, socket, struct, sys, time
from blackbox.wire.message import pack_hello, pack_report
from blackbox.wire.report import AllocatorReport, Cost, Hello, Report

path, victim, ticks, attempts = sys.argv[1], *map(int, sys.argv[2:5])
lie = pack_report(Report("heap", time.monotonic(), (AllocatorReport("GPU-VICTIM", 1 << 40, 1 << 40),)), Cost(0.0, 0, 0))
for attempt in range(attempts):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(path)
        claims = Hello(victim, 0, ticks if attempt % 2 else 0)
        credentials = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, struct.pack("3i", victim, 0, 0))]
        try:
            agent.sendmsg([pack_hello(claims)], credentials if attempt % 3 == 0 else [])
        except PermissionError:
            agent.send(pack_hello(claims))
        except OSError:
            continue
        try:
            agent.sendall(lie)
            agent.settimeout(0.01)
            agent.recv(1)
        except OSError:
            pass
"""


@needs_root
@pytest.mark.fault(37)
@pytest.mark.slow
def test_row_37_nobody_speaks_for_another_users_process() -> None:
    with open_folder() as folder, Listener(folder / "agent.sock", 0o666) as listener, witness(listener) as is_heard:
        (victim,) = {allocator.pid for allocator in listener.sample().allocators}
        ticks = Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[19]
        attack = subprocess.Popen(
            ["setpriv", f"--reuid={OTHER_UID}", "--clear-groups", sys.executable, "-c", CLAIM, listener.socket,
             str(victim), ticks, str(ATTEMPTS)],
            env={"PYTHONPATH": _readable_package(folder)},
        )  # fmt: skip
        lies: list[Sample] = []
        while attack.poll() is None:
            sample = listener.sample()
            lies += [sample for one in sample.allocators if one.gpu_uuid == "GPU-VICTIM" and one.pid != attack.pid]
        assert attack.returncode == 0
        assert listener.sample().cost["frames_total"] >= ATTEMPTS
        assert lies == []
        is_heard()


@needs_root
@pytest.mark.fault(37)
def test_row_37_who_connected_as_another_than_the_owner_is_not_let_in(listener: Listener) -> None:
    code = (
        "import os, socket, sys\n"
        f"os.setresuid(-1, {OTHER_UID}, -1)\n"
        "one = socket.socket(socket.AF_UNIX); one.connect(sys.argv[1])\n"
        "os.setresuid(0, 0, 0)\n"
        "print(one.recv(1))"
    )
    with open_folder() as folder, Listener(folder / "agent.sock", 0o666) as server:
        done = run(["-c", code, str(server.socket)], os.environ)
        assert done.stdout == b"b''\n", done.stderr
        assert server.sample().cost["agents_cut_off_total"] == 1
    assert f"user {OTHER_UID} speaks for process" in server.log


@needs_root
@pytest.mark.fault(37)
def test_row_37_a_users_own_server_lets_nobody_else_in() -> None:
    with open_folder() as folder, Listener(folder / "agent.sock", 0o600) as server:
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(server.socket)!r})"
        done = subprocess.run(
            ["setpriv", f"--reuid={OTHER_UID}", "--clear-groups", sys.executable, "-c", code],
            capture_output=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert b"PermissionError" in done.stderr


def _readable_package(folder: Path) -> str:
    """The wire, where another user can import it."""
    import blackbox

    package = folder / "package" / "blackbox"
    shutil.copytree(Path(blackbox.__file__).parent / "wire", package / "wire")
    (package / "__init__.py").touch()
    return str(package.parent)


@pytest.mark.fault(38)
def test_row_38_links_put_in_the_sockets_place_lead_nobody_astray(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    theirs.mkdir()
    victim = theirs / "victim"
    victim.write_text("untouched")
    victim.chmod(0o640)
    ours.mkdir()
    stop = threading.Event()

    def swap() -> None:
        names = ("agent.sock", "agent.sock.lock")
        while not stop.is_set():
            for name in names:
                with contextlib.suppress(OSError):
                    (ours / name).symlink_to(victim)
                with contextlib.suppress(OSError):
                    (ours / name).unlink()
            with contextlib.suppress(OSError):
                ours.rename(tmp_path / "away")
                ours.symlink_to(theirs)
            with contextlib.suppress(OSError):
                ours.unlink()
                (tmp_path / "away").rename(ours)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(ATTEMPTS):
            with contextlib.suppress(UnixListenerError):
                UnixListener(ours / "agent.sock", 0o666).close()
    finally:
        stop.set()
        swapping.join()
    assert victim.read_text() == "untouched"
    assert victim.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in theirs.iterdir()] == ["victim"]


@pytest.mark.fault(38)
def test_row_38_the_socket_is_never_wider_open_than_meant(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        door = UnixListener(tmp_path / "agent.sock", 0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "agent.sock").stat().st_mode & 0o777 == 0o600
    door.close()


@pytest.mark.fault(38)
def test_row_38_a_folder_where_others_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(UnixListenerError, match="others can write"):
        UnixListener(tmp_path / "agent.sock", 0o600)
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    UnixListener(tmp_path / "sticky" / "agent.sock", 0o600).close()


@pytest.mark.fault(38)
def test_row_38_what_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").write_text("mine")
    with pytest.raises(UnixListenerError, match="not a socket"):
        UnixListener(tmp_path / "agent.sock", 0o600)
    assert (tmp_path / "agent.sock").read_text() == "mine"


@pytest.mark.fault(39)
def test_row_39_no_argument_of_a_program_reaches_a_sample_or_the_log(tmp_path: Path) -> None:
    canary = "sesame4711"
    code = USE_HEAP + "heap.limit = 0; heap.live(.3)\ntry: heap.alloc(1)\nexcept MemoryError: heap.live(60)"
    logged = tmp_path / "log"
    with Listener(tmp_path / "agent.sock") as server, logged.open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-c", code, f"--password={canary}"], env=agent_environment(server.socket), stderr=log
        )
        try:
            seen = server.wait_for(lambda sample: sample.events and sample.allocators)
        finally:
            program.kill()
            program.wait()
    text = msgspec.json.encode(seen).decode() + server.log + logged.read_text()
    assert str(program.pid) in text
    assert canary not in text
