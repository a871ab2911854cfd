"""Programs that use PyTorch, with the agent in them: from their allocator to the answer of the server."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blackbox.model.parts import Allocator
from blackbox.model.sample import Sample
from tests import genuine, record_torch
from tests.agent_rig import ROOT, SHIM, AgentServer, agent_environment, run
from tests.contract.assertions import assert_honours_the_contract
from tests.fake_nvml import GIB, FakeDriver, Gpu, Memory, Process
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until

MIB = 1 << 20
FAKE_TORCH = ROOT / "tests" / "fake_torch"
GPU = "GPU-00000000-1111-2222-3333-444444444444"
SECONDS = "300"
TRAIN = """
import os, signal, sys, time
import torch
model = torch.nn.Linear(1000, 1000, device=0)
optimizer = torch.optim.Adam(model.parameters())
optimizer.step()
work = torch.empty(50_000, 0)
"""
OUT_OF_MEMORY = "\ntry:\n    torch.empty(1 << 30, 0)\nexcept torch.cuda.OutOfMemoryError:\n    "
REPLAY = """
import pickle, sys, time
import torch
from tests.torch_format import stats_of
segments = pickle.load(open(sys.argv[1], "rb"))["segments"]
torch.cuda.memory_snapshot = lambda include_traces=True: segments
torch.cuda.memory_stats_as_nested_dict = lambda device: stats_of(segments, device)
torch.cuda.init()
time.sleep(300)
"""

REFUSED = """
import pickle, sys, time
import torch
from torch import _machine
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.torch_format import stats_of
from tests.traced_programs import STACKS
memory = CachingAllocator(100 * MIB)
torch.cuda.memory._snapshot = lambda device=None: memory.snapshot((2, 12))
torch.cuda.memory_snapshot = lambda include_traces=True: memory.listed((2, 12))
torch.cuda.memory_stats_as_nested_dict = lambda device: stats_of(memory.listed((2, 12)), device)
torch.cuda.memory._record_memory_history(stacks="python", max_entries=10_000)
torch.cuda.init()
held = [memory.alloc(20 * MIB, frames=STACKS[1]) for _ in range(3)]
memory.free(memory.alloc(15 * MIB, frames=STACKS[2], pool=(0, 3)))
memory.alloc(10 * MIB, frames=STACKS[2], pool=(0, 3))
sys.stdin.readline()
try:
    memory.alloc(30 * MIB, frames=STACKS[3])
except RefusedError:
    for observer in _machine.observers:
        observer(0, 30 * MIB, memory.capacity, memory.capacity - memory.reserved)
for address in held:
    memory.free(address)
pickle.dump(memory.snapshot((2, 12)), open(sys.argv[1], "wb"))
print("dumped", flush=True)
time.sleep(300)
"""


def environment(socket: Path, **more: str) -> dict[str, str]:
    """Of a program that imports the PyTorch which is not there."""
    path = os.pathsep.join(map(str, (SHIM, FAKE_TORCH, ROOT, ROOT / "src")))
    return agent_environment(socket) | {"PYTHONPATH": path, **more}


def told_blocks(sample: Sample) -> Allocator | None:
    return next((one for one in sample.allocators if one.blocks is not None), None)


def types(allocator: Allocator) -> Counter[tuple[str, str | None]]:
    return Counter((block.type, block.subtype) for block in allocator.blocks or () if block.state == "active")


def test_a_training_program_tells_what_its_blocks_are_for(tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server:
        variables = environment(server.socket, BLACKBOX_AGENT_EXTRAS="threads")
        with server.program(["-c", TRAIN + f"time.sleep({SECONDS})"], **variables) as program:
            sample = server.wait_for(lambda sample: told_blocks(sample) is not None)
            allocator = told_blocks(sample)
            assert allocator is not None
            assert (allocator.pid, allocator.gpu_uuid, allocator.source) == (program.pid, GPU, "pytorch")
            assert sum(block.size for block in allocator.blocks or ()) == allocator.reserved_bytes
            assert types(allocator) == {
                ("weight", None): 2,
                ("other", "optimizer"): 4,
                ("activation", None): 1,
            }
            assert allocator.threads is not None
            assert [(one.thread_id, one.allocated_bytes) for one in allocator.threads] == [
                (program.pid, allocator.allocated_bytes)
            ]


@pytest.mark.parametrize("arguments", [[], ["raise"]])
def test_a_pytorch_whose_listing_raises_tells_its_counters_and_why_there_are_no_blocks(
    arguments: list[str], tmp_path: Path
) -> None:
    program = genuine.case("agent-snapshot-raises") / "program.py"
    counters = 224395264, 204004352
    with AgentServer(tmp_path) as server:
        variables = environment(server.socket, FAKE_TORCH_VERSION="2.11")
        with server.program([str(program), *arguments], **variables):
            sample = server.wait_for(
                lambda sample: any(
                    (one.reserved_bytes, one.allocated_bytes) == counters and (one.blocks or "blocks" in one.unknown)
                    for one in sample.allocators
                )
            )
    (allocator,) = sample.allocators
    if arguments:
        assert "mempool_id must be a tuple of 2 integers" in allocator.unknown["blocks"]
    else:
        assert len(allocator.blocks or ()) == 6, "of the seven of /vram one is opaque"


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.abort()", -signal.SIGABRT),
        ("sys.exit(4)", 4),
    ],
)
def test_an_out_of_memory_arrives_even_if_the_program_dies_of_it(ending: str, code: int, tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server:
        done = run(["-c", TRAIN + OUT_OF_MEMORY + ending], environment(server.socket))
        assert done.returncode == code, done.stderr
        seen: list[Any] = []
        until(lambda: seen.extend(e for e in server.sample().events if e.kind == "oom") or seen)
        (event,) = seen
        oom = event.oom
        assert (event.gpu_uuid, oom.requested_bytes, oom.device_total_bytes) == (GPU, 4 << 30, 1 << 30)
        assert types(oom.allocator)["weight", None] == 2
        assert sum(block.size for block in oom.allocator.blocks) == oom.allocator.reserved_bytes
        assert oom.trace[-1].action == "oom"
        assert any("<string>" in line for line in oom.stacks[oom.trace[-1].stack])


def test_an_out_of_memory_without_a_server_costs_the_program_nothing_but_time(tmp_path: Path) -> None:
    code = TRAIN + OUT_OF_MEMORY + "print('handled')"
    done = run(["-c", code], environment(tmp_path / "nobody.sock"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"handled\n", b"")


def test_a_forked_child_speaks_for_itself(tmp_path: Path) -> None:
    code = f"import os, time, torch\nchild = os.fork()\nif child == 0:{TRAIN.replace(chr(10), chr(10) + '    ')}\n"
    code += f"    time.sleep({SECONDS})\nprint(child, flush=True)\nos.waitpid(child, 0)"
    with AgentServer(tmp_path) as server, server.program(["-c", code], **environment(server.socket)) as program:
        sample = server.wait_for(lambda sample: told_blocks(sample) is not None)
        assert program.stdout is not None
        child = int(program.stdout.readline())
        try:
            assert {allocator.pid for allocator in sample.allocators} == {child}
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_child_that_may_not_use_cuda_says_nothing(tmp_path: Path) -> None:
    code = TRAIN + "if os.fork() == 0:\n    torch.nn.Linear(2, 2)\n    time.sleep(.5)\n    os._exit(0)\n"
    code += f"os.wait()\nprint('over', flush=True)\ntime.sleep({SECONDS})"
    with AgentServer(tmp_path) as server, server.program(["-c", code], **environment(server.socket)) as program:
        assert program.stdout is not None
        pids: set[int] = set()
        while not select.select([program.stdout], [], [], 0.05)[0]:
            pids |= {allocator.pid for allocator in server.sample().allocators}
        assert pids == {program.pid}


def snapshots() -> list[Any]:
    names = [pytest.param(lambda name=name: record_torch.FOLDER / name, id=name) for name in ("simulated-2.13.pickle",)]
    name = "torch-memory-snapshot-user-metadata.pickle"
    return [*names, pytest.param(lambda: genuine.sample(name), id="genuine")]


@pytest.mark.parametrize("path_of", snapshots())
def test_a_snapshot_goes_through_agent_and_socket_to_the_answer(
    path_of: Callable[[], Path], tmp_path: Path, fake_driver: FakeDriver
) -> None:
    path, socket = path_of(), tmp_path / "agent.sock"
    imported = json.loads(
        run(["-m", "blackbox", "import", str(path)], {**os.environ, "PYTHONPATH": str(ROOT / "src")}).stdout
    )
    gpus = [
        Gpu(uuid=GPU.replace("00000000", f"{number:08x}", 1), memory=Memory(total_bytes=80 * GIB, used_bytes=20 * GIB))
        for number in (0, 1)
    ]
    fake_driver.set_gpus(gpus)
    server_words = ("--agent-socket", str(socket))
    with RunningServer(tmp_path, *server_words) as server, replaying(path, socket) as pid:
        overheads = 3 * GIB
        for gpu, row in zip(gpus, imported["processes"], strict=False):
            gpu.processes.append(Process(pid=pid, used_bytes=row["used_bytes"] + overheads))
        fake_driver.set_gpus(gpus)
        answers: list[dict[str, Any]] = []

        def whole() -> bool:
            answers.append(vram(server))
            return len(answers[-1]["blocks"]) > len(imported["blocks"])

        until(whole)
        answer = answers[-1]
    assert_honours_the_contract(answer)
    assert [row["reserved_bytes"] for row in answer["processes"]] == [
        row["reserved_bytes"] for row in imported["processes"]
    ]
    for row in answer["processes"]:
        blocks = [block for block in answer["blocks"] if block["gpu"] == row["gpu"]]
        assert sum(block["size"] for block in blocks) == row["used_bytes"] == row["reserved_bytes"] + overheads
        assert row["allocated_bytes"] == sum(b["size"] for b in blocks if b["utilized"] and b["address"])
    mapped = ("gpu", "address", "size", "allocated", "utilized", "requested_bytes", "stream")
    assert {tuple(block.get(key) for key in mapped) for block in answer["blocks"] if block["address"]} == {
        tuple(block.get(key) for key in mapped) for block in imported["blocks"]
    }
    assert answer["fragmentation_ratio"] == imported["fragmentation_ratio"]
    assert answer["fragmentation"] == imported["fragmentation"]


@contextmanager
def replaying(path: Path, socket: Path) -> Iterator[int]:
    """A program whose PyTorch holds what a snapshot tells; gives its pid."""
    program = subprocess.Popen([sys.executable, "-c", REPLAY, path], env=environment(socket))
    try:
        yield program.pid
    finally:
        program.kill()
        program.wait()


def vram(server: RunningServer) -> dict[str, Any]:
    with urllib.request.urlopen(f"{server.url}/vram", timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_report_of_a_server_and_that_of_the_programs_file_agree(tmp_path: Path, fake_driver: FakeDriver) -> None:
    gpu = Gpu(uuid=GPU, memory=Memory(total_bytes=100 * MIB, used_bytes=76 * MIB))
    fake_driver.set_gpus([gpu])
    path, socket = tmp_path / "snapshot.pickle", tmp_path / "agent.sock"
    command = [sys.executable, "-c", REFUSED, path]
    with RunningServer(tmp_path, "--agent-socket", str(socket)) as server:
        program = subprocess.Popen(command, env=environment(socket), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert program.stdin
        assert program.stdout
        try:
            gpu.processes.append(Process(pid=program.pid, used_bytes=76 * MIB))
            fake_driver.set_gpus([gpu])
            until(lambda: [row for row in vram(server)["processes"] if row["allocated_bytes"] == 70 * MIB])
            program.stdin.write(b"\n")
            program.stdin.flush()
            assert program.stdout.readline() == b"dumped\n"
            until(lambda: report(server.url).get("refusals"))
            live, file = report(server.url), report(str(path))
        finally:
            program.kill()
            program.communicate()
    (of_live,), (of_file,) = live["refusals"], file["refusals"]
    named = ("freed_after", "seconds")
    assert {key: value for key, value in of_live.items() if key not in named} == {
        key: value for key, value in of_file.items() if key not in named
    }
    assert (of_live["allocated_bytes"], of_live["free_elsewhere"]["private_pool"]["bytes"]) == (70 * MIB, 6 * MIB)
    assert live["causes"] == file["causes"]
    assert [cause["cause"] for cause in live["causes"]] == ["shortage"]


def report(what: str) -> dict[str, Any]:
    done = run(["-m", "blackbox", "report", what, "--json"], {**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
