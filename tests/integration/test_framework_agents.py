"""Programs that use JAX, CuPy and RMM, with the agent in them: from their counters to the answer of the server."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blackbox.model.parts import Allocator
from blackbox.model.sample import Sample
from tests.agent_rig import ROOT, SHIM, AgentServer, agent_environment
from tests.contract.assertions import assert_honours_the_contract
from tests.fake_frameworks import FOLDER, GPU, INSTANCE, build_cuda, build_cupti
from tests.fake_nvml import GIB, FakeDriver, Gpu, Memory, Process
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until

MIB = 1 << 20
START = "import ctypes, sys, time\nctypes.CDLL(sys.argv[1])\n"
WAIT = "\ntime.sleep(300)"
JAX = f"""
import jax
from jax._src.xla_bridge import Client, Device, _backends
_backends["cpu"] = Client(Device(0, None))
_backends["cuda"] = Client(
    Device(0, {{"bytes_in_use": {300 * MIB}, "pool_bytes": {GIB}, "largest_free_block_bytes": {500 * MIB},
        "bytes_limit": {60 * GIB}}})
)
"""
CUPY = f"""
import cupy
cupy.get_default_memory_pool().bytes = {{0: ({64 * MIB}, {10 * MIB}), 1: ({32 * MIB}, {2 * MIB})}}
"""
RMM = f"""
import rmm
from rmm.mr import *
set_per_device_resource(0, TrackingResourceAdaptor(PoolMemoryResource(CudaMemoryResource(), {128 * MIB}), {5 * MIB}))
"""


@pytest.fixture
def cuda(tmp_path: Path) -> Path:
    return build_cuda(tmp_path)


def environment(socket: Path, contexts: str = "0") -> dict[str, str]:
    """Of a program that imports frameworks which are not there."""
    path = os.pathsep.join(map(str, (SHIM, FOLDER, ROOT / "src")))
    return agent_environment(socket) | {"PYTHONPATH": path, "FAKE_CUDA_CONTEXTS": contexts}


def told(
    code: str, folder: Path, cuda: Path, count: int, contexts: str = "0", limits: int = 0
) -> dict[tuple[str, str], Allocator]:
    """(source, device) -> what such a program tells, once it tells of so many, and of so many limits."""

    def is_all(sample: Sample) -> bool:
        limited = [one for one in sample.allocators if one.limit_bytes is not None]
        return len(sample.allocators) >= count and len(limited) >= limits

    with (
        AgentServer(folder) as server,
        server.program(["-c", START + code + WAIT, str(cuda)], **environment(server.socket, contexts)),
    ):
        sample = server.wait_for(is_all)
    return {(one.source, one.gpu_uuid): one for one in sample.allocators}


def test_each_framework_tells_what_it_holds(tmp_path: Path, cuda: Path) -> None:
    found = told(JAX + CUPY + RMM, tmp_path, cuda, 4, contexts="01", limits=1)
    assert {place: (one.reserved_bytes, one.allocated_bytes) for place, one in found.items()} == {
        ("jax", GPU): (GIB, 300 * MIB),
        ("cupy", GPU): (64 * MIB, 10 * MIB),
        ("cupy", INSTANCE): (32 * MIB, 2 * MIB),
        ("rmm", GPU): (128 * MIB, 5 * MIB),
    }
    assert found["jax", GPU].largest_free_bytes == 500 * MIB
    assert {one.source: one.limit_bytes for one in found.values()} == {"jax": 60 * GIB, "cupy": None, "rmm": None}
    for one in found.values():
        assert one.blocks is None
        assert {"blocks", "inactive_split_bytes"} <= one.unknown.keys()
        assert not {"reserved_bytes", "allocated_bytes"} & one.unknown.keys()


def test_a_device_without_a_context_is_not_touched(tmp_path: Path, cuda: Path) -> None:
    assert set(told(CUPY + RMM, tmp_path, cuda, 1, contexts="1")) == {("cupy", INSTANCE)}


@pytest.mark.parametrize(
    ("resources", "reserved", "allocated", "unknown"),
    [
        ("PoolMemoryResource(CudaMemoryResource(), 900)", 900, 0, ["allocated_bytes"]),
        ("TrackingResourceAdaptor(CudaMemoryResource(), 70)", 70, 70, ["reserved_bytes"]),
        ("TrackingResourceAdaptor(PoolMemoryResource(CudaMemoryResource(), 900), 70)", 900, 70, []),
        (
            "StatisticsResourceAdaptor(TrackingResourceAdaptor(CudaMemoryResource(), 70), -5)",
            70,
            70,
            ["reserved_bytes"],
        ),
        ("StatisticsResourceAdaptor(PoolMemoryResource(CudaMemoryResource(), 900), 7)", 900, 0, ["allocated_bytes"]),
        ("PoolMemoryResource(TrackingResourceAdaptor(CudaMemoryResource(), 920), 900)", 900, 0, ["allocated_bytes"]),
        ("ArenaMemoryResource(TrackingResourceAdaptor(CudaMemoryResource(), 920))", 920, 0, ["allocated_bytes"]),
        (
            "TrackingResourceAdaptor(PoolMemoryResource(CudaMemoryResource(), 900), 2**64 - 8)",
            900,
            0,
            ["allocated_bytes"],
        ),
        (
            "TrackingResourceAdaptor(BinningMemoryResource(PoolMemoryResource(CudaMemoryResource(), 900)), 70)",
            900,
            70,
            ["reserved_bytes"],
        ),
        (
            "TrackingResourceAdaptor(PoolMemoryResource(PoolMemoryResource(CudaMemoryResource(), 900), 500), 70)",
            900,
            70,
            [],
        ),
    ],
)
def test_rmm_tells_what_its_resources_count(
    resources: str, reserved: int, allocated: int, unknown: list[str], tmp_path: Path, cuda: Path
) -> None:
    code = f"import rmm\nfrom rmm.mr import *\nset_per_device_resource(0, {resources})"
    one = told(code, tmp_path, cuda, 1)["rmm", GPU]
    assert (one.reserved_bytes, one.allocated_bytes) == (reserved, allocated)
    assert {"reserved_bytes", "allocated_bytes"} & one.unknown.keys() == set(unknown)


@pytest.mark.parametrize(
    "resources",
    [
        "CudaMemoryResource()",
        "PoolMemoryResource(ManagedMemoryResource(), 900)",
        "TrackingResourceAdaptor(SamHeadroomMemoryResource(), 900)",
        "StatisticsResourceAdaptor(CudaMemoryResource(), -1000)",
    ],
)
def test_rmm_is_silent_where_it_counts_nothing_or_nothing_on_the_gpu(
    resources: str, tmp_path: Path, cuda: Path
) -> None:
    code = f"import rmm\nfrom rmm.mr import *\nset_per_device_resource(0, {resources})"
    assert set(told(CUPY + code, tmp_path, cuda, 1)) == {("cupy", GPU)}


def test_a_jax_that_does_not_tell_its_pool_is_a_lower_bound(tmp_path: Path, cuda: Path) -> None:
    one = told(JAX.replace('"pool_bytes"', '"other"'), tmp_path, cuda, 1)["jax", GPU]
    assert one.reserved_bytes == one.allocated_bytes == 300 * MIB
    assert "at least" in one.unknown["reserved_bytes"]


@contextmanager
def running(code: str, cuda: Path, socket: Path) -> Iterator[int]:
    command = [sys.executable, "-c", START + code + WAIT, str(cuda)]
    with subprocess.Popen(command, env=environment(socket)) as program:
        try:
            yield program.pid
        finally:
            program.kill()


def test_several_allocators_of_a_process_add_up_in_its_row(tmp_path: Path, cuda: Path, fake_driver: FakeDriver) -> None:
    socket = tmp_path / "agent.sock"
    gpu = Gpu(uuid=GPU, memory=Memory(total_bytes=80 * GIB, used_bytes=20 * GIB))
    fake_driver.set_gpus([gpu])
    with (
        RunningServer(tmp_path, "--agent-socket", str(socket)) as server,
        running(JAX + CUPY + RMM, cuda, socket) as pid,
    ):
        gpu.processes.append(Process(pid=pid, used_bytes=2 * GIB))
        fake_driver.set_gpus([gpu])
        rows: list[Any] = []

        def arrived() -> bool:
            with urllib.request.urlopen(f"{server.url}/vram", timeout=PATIENCE_SECONDS) as answer:
                rows.append(json.load(answer))
            told = (315 * MIB, 2 * GIB)  # by all allocators, and by the driver, whose list may be read later
            return any((row["allocated_bytes"], row["used_bytes"]) == told for row in rows[-1]["processes"])

        until(arrived)
    answer = rows[-1]
    assert_honours_the_contract(answer)
    (row,) = answer["processes"]
    assert (row["used_bytes"], row["reserved_bytes"]) == (2 * GIB, GIB + 192 * MIB)
    assert [(block["size"], block["subtype"]) for block in answer["blocks"]] == [(2 * GIB, "opaque")]
    assert "totals alone" in answer["unknown"]["blocks"]
    assert "fragmentation_ratio" in answer["unknown"]


def test_kernels_of_a_program_that_uses_pytorch(tmp_path: Path, cuda: Path) -> None:
    cupti = build_cupti(tmp_path)
    code = f"ctypes.CDLL({str(cupti)!r})\nimport torch\ntorch.cuda.init()"
    with AgentServer(tmp_path) as server:
        variables = environment(server.socket) | {
            "PYTHONPATH": os.pathsep.join(map(str, (SHIM, ROOT / "tests" / "fake_torch", ROOT, ROOT / "src"))),
            "BLACKBOX_AGENT_EXTRAS": "cupti",
            "FAKE_CUPTI_KERNELS": "256 32 0 10000 300 10",
        }
        with server.program(["-c", START + code + WAIT, str(cuda)], **variables) as program:
            sample = server.wait_for(lambda sample: sample.kernels)
    (kernels,) = sample.kernels
    assert (kernels.pid, kernels.source, kernels.scope) == (program.pid, "cupti", "process")
    assert (kernels.threads_per_block, kernels.occupancy, kernels.active_blocks) == (256, 100.0, 8 * 132)
