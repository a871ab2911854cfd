"""Three programs look at the same driver: our totals and process bytes equal gpustat's and nvitop's.

Both leave out the MPS list, so the states have none; gpustat rounds down to MiB, so ours are rounded likewise for it.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import requests

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.snapshot import Snapshot
from blackbox.sources.nvml.source import NvmlSource
from tests.contract.assertions import assert_honours_the_contract
from tests.fake_nvml import GIB, FakeDriver, Gpu, Memory, Mig, Process, gpu_uuid, mig_uuid
from tests.fake_nvml.idlers import idle_processes
from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS

MIB = 1 << 20
PIDS = 16
GPUS_MAX = 8
ANSWER_SECONDS = PATIENCE_SECONDS
NOT_SUPPORTED = 3


class Reading(NamedTuple):
    """What one program says about one GPU."""

    total: int
    used: int
    processes: dict[int, int | None]
    """None: the driver does not know."""


class Peers:
    """gpustat and nvitop, loaded once in a child of ours."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def ask(self) -> dict[str, dict[str, Reading]]:
        """Program -> UUID of the GPU -> what it says."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(file=self._child.stdin, flush=True)
        answers = json.loads(self._child.stdout.readline())
        return {
            program: {uuid: reading(gpu["total"], gpu["used"], gpu["processes"]) for uuid, gpu in gpus.items()}
            for program, gpus in answers.items()
        }


@pytest.fixture(scope="module")
def pids() -> Iterator[list[int]]:
    with idle_processes(PIDS) as idle:
        yield idle


@pytest.fixture
def peers(fake_driver: FakeDriver) -> Iterator[Peers]:
    program = Path(__file__).with_name("second_opinions.py")
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        yield Peers(child)
        child.kill()


def random_gpus(seed: int, pids: list[int]) -> list[Gpu]:
    """Any machine that can be: processes exist, fit into their GPU, and have one figure on all lists of it."""
    rng = random.Random(seed)
    return [random_gpu(rng, number, pids) for number in range(rng.randint(1, GPUS_MAX))]


def random_gpu(rng: random.Random, number: int, pids: list[int]) -> Gpu:
    chosen = rng.sample(pids, rng.randint(0, 6))
    total = rng.randint(8 * GIB, 192 * GIB)
    reserved = rng.randint(0, GIB)
    memory = Memory(total_bytes=total, reserved_bytes=reserved, used_bytes=rng.randint(0, total - reserved))
    if rng.random() < 0.2:
        split = rng.randint(0, len(chosen))
        instances = [
            Mig(
                uuid=mig_uuid(number, i),
                gpu_instance_id=7 + i,
                slot=2 * i,
                memory=Memory(total_bytes=total // 8),
                processes=random_processes(rng, part, total // 8),
            )
            for i, part in enumerate((chosen[:split], chosen[split:]))
        ]
        return Gpu(uuid=gpu_uuid(number), memory=memory, mig_mode="on", instances=instances)
    return Gpu(uuid=gpu_uuid(number), memory=memory, processes=random_processes(rng, chosen, total))


def random_processes(rng: random.Random, pids: list[int], used_max: int) -> list[Process]:
    processes: list[Process] = []
    for pid in pids:
        used = None if rng.random() < 0.15 else rng.randint(1, used_max)
        kinds = rng.choice((["compute"], ["graphics"], ["compute", "graphics"]))
        processes += [Process(pid=pid, used_bytes=used, kind=kind) for kind in kinds]
    return processes


def take_snapshot() -> Snapshot:
    source = NvmlSource()
    try:
        sample = source.sample()
    finally:
        source.close()
    now = time.monotonic()
    return merge(Moment(seq=1, timestamp=time.time(), taken_at=now, host="test", samples=(sample,), sources=()))


def ours(snapshot: Snapshot) -> dict[str, Reading]:
    """A GPU's own row, and the processes on it and on its instances."""
    return {
        gpu.uuid: Reading(
            gpu.total_bytes,
            gpu.used_bytes,
            {
                process.pid: None if "used_bytes" in process.unknown else process.used_bytes
                for process in snapshot.processes
                if process.gpu == gpu.index
            },
        )
        for gpu in snapshot.gpus
        if gpu.parent_uuid is None
    }


def reading(total: int, used: int, processes: dict[str, int | None]) -> Reading:
    return Reading(total, used, {int(pid): used for pid, used in processes.items()})


def in_mib(readings: dict[str, Reading]) -> dict[str, Reading]:
    return {
        uuid: Reading(
            gpu.total // MIB,
            gpu.used // MIB,
            {pid: None if used is None else used // MIB for pid, used in gpu.processes.items()},
        )
        for uuid, gpu in readings.items()
    }


def assert_all_agree(fake_driver: FakeDriver, peers: Peers, pids: list[int], seeds: range) -> None:
    fake_driver.fail("nvmlEventSetCreate", NOT_SUPPORTED)  # a watch for events would be waited for at each close
    for seed in seeds:
        fake_driver.set_gpus(random_gpus(seed, pids))
        answers = peers.ask()
        snapshot = take_snapshot()
        readings = ours(snapshot)
        assert readings == answers["nvitop"], f"seed {seed}"
        assert in_mib(readings) == answers["gpustat"], f"seed {seed}"
        assert snapshot.total_bytes == sum(gpu.total for gpu in answers["nvitop"].values())
        assert snapshot.used_bytes == sum(gpu.used for gpu in answers["nvitop"].values())


def test_totals_and_process_bytes_equal_the_peers_on_random_states(fake_driver, peers, pids):
    assert_all_agree(fake_driver, peers, pids, range(50))


@pytest.mark.slow
def test_totals_and_process_bytes_equal_the_peers_on_a_thousand_states(fake_driver, peers, pids):
    assert_all_agree(fake_driver, peers, pids, range(50, 1050))


@pytest.mark.parametrize("seed", [3, 4])
def test_gpustat_command_says_the_same(fake_driver, pids, seed):
    fake_driver.set_gpus(random_gpus(seed, pids))
    command = [sys.executable, "-m", "gpustat", "--json"]
    answer = json.loads(subprocess.check_output(command, env=os.environ, text=True, timeout=ANSWER_SECONDS))
    assert in_mib(ours(take_snapshot())) == {gpu["uuid"]: gpustat_row(gpu) for gpu in answer["gpus"]}


def gpustat_row(gpu: dict[str, Any]) -> Reading:
    processes = {process["pid"]: process["gpu_memory_usage"] for process in gpu["processes"]}
    return Reading(gpu["memory.total"], gpu["memory.used"], processes)


def test_eight_gpus_with_32_processes_each_over_http_equal_the_peers(fake_driver, peers, tmp_path):
    with idle_processes(8 * 32) as pids:
        fake_driver.set_gpus(
            [
                Gpu(
                    uuid=gpu_uuid(number),
                    processes=[
                        Process(pid=pid, used_bytes=(number + 1) * pid * 1024)
                        for pid in pids[32 * number : 32 * number + 32]
                    ],
                )
                for number in range(8)
            ]
        )
        answers = peers.ask()
        with RunningServer(tmp_path, "--no-record", "--no-agents", "--no-engines") as server:
            answer = requests.get(f"{server.url}/vram", timeout=ANSWER_SECONDS).json()
    assert_honours_the_contract(answer)
    readings = ours(msgspec.convert(answer, Snapshot))
    assert sum(len(gpu.processes) for gpu in readings.values()) == 8 * 32
    assert readings == answers["nvitop"]
    assert in_mib(readings) == answers["gpustat"]
    blocks = sum(block["size"] for block in answer["blocks"])
    ledger = answer["driver_reserved_bytes"] + blocks + answer["unattributed_bytes"] + answer["free_bytes"]
    assert ledger == answer["total_bytes"]
