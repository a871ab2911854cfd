"""Ports of engines found among the processes on the GPU: on a made-up /proc."""

import shutil
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from blackbox.sources.engines.address import Address, parse_url
from blackbox.sources.engines.discovery import Candidate, discover
from blackbox.sources.engines.listeners import at
from blackbox.sources.proc.table import ProcessTable
from blackbox.sources.proc.tree import COMMAND_WORDS_MAX, Commands

HERE, ELSEWHERE = "net:[4026531840]", "net:[4026532999]"
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTEN, ESTABLISHED = "0A", "01"


class Proc:
    """A /proc with a few processes and sockets."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inode = 1000
        (root / "self" / "net").mkdir(parents=True)
        (root / "self" / "ns").mkdir()
        (root / "self" / "ns" / "net").symlink_to(HERE)
        for name in ("tcp", "tcp6"):
            (root / "self" / "net" / name).write_text(HEAD)

    def process(
        self,
        pid: int,
        words: Sequence[str],
        parent: int = 1,
        session: int | None = None,
        network: str = HERE,
        uids: tuple[int, int] = (1000, 1000),
        started: int | None = None,
    ) -> None:
        """`uids`: real and effective. `started`: ticks since boot; ten times the pid where it does not matter."""
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "ns").mkdir()
        (folder / "ns" / "net").symlink_to(network)
        (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
        rest = ["S", str(parent), str(pid), str(session or pid), *["0"] * 15, str(started or pid * 10), "0"]
        (folder / "status").write_text("Name:\tx\nUid:\t{}\t{}\t0\t0\n".format(*uids))
        (folder / "stat").write_text(f"{pid} (a ) b) {' '.join(rest)}\n")

    def listens(self, pid: int, host: str, port: int, state: str = LISTEN, uid: int = 0) -> None:
        self._inode += 1
        family, table = (socket.AF_INET6, "tcp6") if ":" in host else (socket.AF_INET, "tcp")
        packed = socket.inet_pton(family, host)
        words = struct.unpack(f"{'<' if sys.byteorder == 'little' else '>'}{len(packed) // 4}I", packed)
        local = "".join(f"{word:08X}" for word in words) + f":{port:04X}"
        with (self.root / "self" / "net" / table).open("a") as file:
            file.write(f"   0: {local} 0:0 {state} 0:0 00:0 0 {uid} 0 {self._inode} 1 0 100 0 0 10 0\n")
        folder = self.root / str(pid) / "fd"
        (folder / str(len(list(folder.iterdir())))).symlink_to(f"socket:[{self._inode}]")

    def candidates(self, *gpu_pids: int) -> tuple[Candidate, ...]:
        return discover(gpu_pids, self.root).candidates

    def addresses(self, *gpu_pids: int) -> list[str]:
        return [str(candidate.address) for candidate in self.candidates(*gpu_pids)]


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


VLLM = ["/usr/bin/python3", "/usr/local/bin/vllm", "serve", "tiny"]


def test_a_server_above_its_process_on_the_gpu(proc: Proc) -> None:
    proc.process(100, VLLM)
    proc.process(101, ["VLLM::EngineCore"], parent=100, session=100)
    proc.listens(100, "0.0.0.0", 8000)
    (candidate,) = proc.candidates(101)
    address, ranks = Address("127.0.0.1", 8000), ({"0": 101}, {"0": (101,)})
    assert candidate == Candidate(address, 100, 1000, ("vllm",), (101,), *ranks, frozenset({1001}), uid=1000)


def test_the_workers_of_an_engine_that_is_on_no_gpu_itself(proc: Proc) -> None:
    proc.process(100, VLLM)
    for rank, core in ("0", 101), ("1", 111):
        proc.process(core, [f"VLLM::EngineCore_DP{rank}"], parent=100, session=100)
        for worker in (core + 1, core + 2):
            proc.process(worker, ["VLLM::Worker"], parent=core, session=100)
    proc.listens(100, "127.0.0.1", 8000)
    (candidate,) = proc.candidates(102, 103, 112, 113)
    assert candidate.gpu_pids == (102, 103, 112, 113)
    assert candidate.rank_pids == {"0": (102, 103), "1": (112, 113)}


def test_sibling_servers_of_data_parallel_engines(proc: Proc) -> None:
    proc.process(100, VLLM)
    for pid, title in ((101, "VLLM::EngineCore_DP0"), (102, "VLLM::EngineCore_DP1"), (103, "VLLM::APIServer_0")):
        proc.process(pid, [title], parent=100, session=100)
    proc.listens(103, "127.0.0.1", 8000)
    (candidate,) = proc.candidates(101, 102)
    assert candidate.pid == 103
    assert candidate.gpu_pids == (101, 102)
    assert candidate.engine_pids == {"0": 101, "1": 102}


def test_two_servers_started_from_one_shell_are_kept_apart(proc: Proc) -> None:
    proc.process(50, ["bash"])
    for server, port in ((100, 8000), (200, 8001)):
        proc.process(server, VLLM, parent=50, session=50)
        proc.process(server + 1, ["VLLM::EngineCore"], parent=server, session=50)
        proc.listens(server, "127.0.0.1", port)
    first, second = proc.candidates(101, 201)
    assert (first.gpu_pids, first.engine_pids) == ((101,), {"0": 101})
    assert (second.gpu_pids, second.engine_pids) == ((201,), {"0": 201})


def test_workers_left_by_their_parent_are_found_by_their_session(proc: Proc) -> None:
    proc.process(100, ["python", "-m", "sglang.launch_server"])
    proc.process(101, ["sglang::scheduler"], parent=1, session=100)
    proc.listens(100, "127.0.0.1", 30000)
    (candidate,) = proc.candidates(101)
    assert (candidate.kinds, candidate.gpu_pids) == (("sglang",), (101,))


def test_a_training_job_is_never_asked_even_beside_an_engine(proc: Proc) -> None:
    proc.process(50, ["bash"])
    proc.process(100, VLLM, parent=50, session=50)
    proc.process(200, ["python", "train.py", "--lr", "1", "--host-of", "vllm"], parent=50, session=50)
    proc.listens(100, "127.0.0.1", 8000)
    proc.listens(200, "0.0.0.0", 29500)
    assert proc.addresses(100, 200) == ["http://127.0.0.1:8000"]


def test_ports_by_which_workers_meet_are_not_asked(proc: Proc) -> None:
    proc.process(100, VLLM)
    proc.process(101, ["VLLM::EngineCore"], parent=100, session=100)
    proc.process(102, ["VLLM::Worker_TP0"], parent=101, session=100)
    proc.listens(101, "127.0.0.1", 40001)
    proc.listens(102, "127.0.0.1", 40002)
    assert proc.addresses(102) == []


def test_a_process_that_is_not_near_a_gpu_is_not_asked(proc: Proc) -> None:
    proc.process(100, VLLM)
    proc.listens(100, "127.0.0.1", 8000)
    proc.process(300, ["python", "train.py"])
    assert proc.addresses(300) == []
    assert proc.addresses() == []


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("10.1.2.3", "http://10.1.2.3:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("::ffff:127.0.0.1", "http://127.0.0.1:8080"),
    ],
)
def test_where_a_socket_is_reached(proc: Proc, host: str, reached: str) -> None:
    proc.process(100, ["/opt/llama-server", "-m", "model.gguf"])
    proc.listens(100, host, 8080)
    assert proc.addresses(100) == [reached]


def test_connections_are_not_listeners(proc: Proc) -> None:
    proc.process(100, ["ollama", "serve"])
    proc.listens(100, "127.0.0.1", 11434)
    proc.listens(100, "127.0.0.1", 50000, ESTABLISHED)
    assert proc.addresses(100) == ["http://127.0.0.1:11434"]


def test_a_port_of_another_network_namespace_is_not_mistaken_for_one_of_ours(proc: Proc) -> None:
    proc.process(100, ["tritonserver"], network=ELSEWHERE)
    proc.listens(100, "0.0.0.0", 8002)
    found = discover({100}, proc.root)
    assert (found.candidates, found.unseen) == ((), 1)


def test_a_process_whose_files_cannot_be_seen_is_counted(proc: Proc) -> None:
    proc.process(100, ["tritonserver"])
    (proc.root / "100" / "fd").rmdir()
    assert discover({100}, proc.root).unseen == 1


def test_a_process_that_ended_meanwhile(proc: Proc) -> None:
    assert discover({4711}, proc.root).candidates == ()


def test_arguments_far_into_a_command_line_are_not_looked_at(proc: Proc) -> None:
    proc.process(100, ["python", *["-v"] * COMMAND_WORDS_MAX, "vllm"])
    proc.listens(100, "127.0.0.1", 8000)
    assert proc.addresses(100) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://localhost:8000", Address("localhost", 8000)),
        ("http://127.0.0.1:8000/", Address("127.0.0.1", 8000)),
        ("http://[::1]:8000", Address("::1", 8000)),
    ],
)
def test_addresses_as_people_write_them(text: str, address: Address) -> None:
    assert parse_url(text) == address
    assert parse_url(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8000",
        "http://127.0.0.1",
        "https://127.0.0.1:1",
        "http://gpu1:8000",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:1/metrics",
        "http://me@127.0.0.1:1",
        "http://127.0.0.1:0",
        "http://[::1",
        "",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_url(text)


@pytest.mark.fault(53)
def test_row_53_an_engine_belongs_to_the_user_of_its_process(proc: Proc) -> None:
    for pid, uids in ((100, (1001, 1001)), (200, (1001, 0))):  # the second acts as another user
        proc.process(pid, VLLM, uids=uids)
        proc.listens(pid, "127.0.0.1", pid)
    assert [(one.pid, one.uid) for one in proc.candidates(100, 200)] == [(100, 1001), (200, None)]


@pytest.mark.fault(53)
def test_row_53_who_listens_at_an_address_is_what_the_kernel_says(proc: Proc) -> None:
    proc.process(100, VLLM)
    for host, port, uid in (
        ("127.0.0.1", 8000, 1001),
        ("0.0.0.0", 8000, 1002),
        ("::", 8001, 1003),
        ("127.0.0.2", 8002, 1004),
        ("127.0.0.1", 8003, 1001),
        ("::1", 8003, 1002),
    ):
        proc.listens(100, host, port, uid=uid)
    proc.listens(100, "127.0.0.1", 8004, ESTABLISHED, uid=1001)
    found = [{one.uid for one in at(proc.root, Address("localhost", port))} for port in range(8000, 8005)]
    assert found == [{1001}, {1003}, set(), {1001, 1002}, set()]


@pytest.mark.fault(70)
def test_row_70_whoever_has_the_pid_of_a_server_by_now_is_not_taken_for_it(proc: Proc) -> None:
    proc.process(100, VLLM)
    proc.process(101, ["VLLM::EngineCore"], parent=100, session=100)
    proc.listens(100, "0.0.0.0", 8000)
    known, commands = ProcessTable(proc.root).list(), Commands(proc.root)
    assert [one.uid for one in discover((101,), proc.root, commands, known).candidates] == [1000]
    shutil.rmtree(proc.root / "100")
    proc.process(100, ["nginx"], uids=(1002, 1002), started=777)
    proc.listens(100, "0.0.0.0", 8000)
    assert discover((101,), proc.root, commands, known).candidates == ()
