"""The driver's figures on a real GPU, beside the tools that people compare them with."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blackbox.sources.nvml.source import NvmlSource
from tests.contract.assertions import assert_honours_the_contract
from tests.gpu.rig import ROOT, Program, Server, row

pytestmark = pytest.mark.gpu
MIB = 1 << 20
TAKEN_MIB = 3000
PROGRAMS = 8
UNITS = {"gpustat": MIB, "nvitop": 1}
"""gpustat rounds down."""
OPINIONS = ROOT / "tests" / "integration" / "second_opinions.py"
LIST_AFTER_FORK = """
import json, os, signal
from blackbox.sources.nvml.source import NvmlSource

def told(source):
    sample = source.sample()
    return [sample.state, sample.reason, [one.memory and one.memory.total_bytes for one in sample.devices]]

source = NvmlSource()
before = told(source)
read, write = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(10)  # on driver 580 it hangs
    os.write(write, json.dumps(told(NvmlSource())).encode())
    os._exit(0)
os.close(write)
code = os.waitpid(child, 0)[1]
print(json.dumps({"before": before, "child": os.read(read, 65536).decode(), "code": code, "after": told(source)}))
"""


def nvidia_smi(query: str, of: str = "gpu") -> list[dict[str, str]]:
    asked = subprocess.run(
        ["nvidia-smi", f"--query-{of}={query}", "--format=csv,noheader,nounits"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [
        dict(zip(query.split(","), map(str.strip, line), strict=True)) for line in csv.reader(io.StringIO(asked.stdout))
    ]


def second_opinions() -> dict[str, Any]:
    pytest.importorskip("gpustat")
    pytest.importorskip("nvitop")
    asked = subprocess.run(
        [sys.executable, str(OPINIONS)], input="\n", capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(asked.stdout)


def test_totals_are_those_of_nvidia_smi_to_the_mebibyte(server: Server) -> None:
    with Program(sys.executable, "driver_memory.py", TAKEN_MIB) as program:
        answer = server.wait_for(lambda answer: row(answer, program.pid))
        (theirs,) = nvidia_smi("uuid,name,memory.total,memory.used,memory.free,memory.reserved")
        (gpu,) = answer["gpus"]
    assert_honours_the_contract(answer)
    assert gpu["uuid"] == theirs["uuid"]
    assert gpu["name"] == theirs["name"]
    for ours, name in (
        ("total_bytes", "memory.total"),
        ("used_bytes", "memory.used"),
        ("free_bytes", "memory.free"),
        ("driver_reserved_bytes", "memory.reserved"),
    ):
        assert abs(gpu[ours] / MIB - int(theirs[name])) <= 1, name
    assert answer["total_bytes"] == answer["used_bytes"] + answer["free_bytes"] + answer["driver_reserved_bytes"]
    assert next(one for one in answer["sources"] if one["name"] == "nvml")["facts"]["memory_version"] == "v2"


def test_a_process_holds_what_it_took_and_its_context_as_the_other_tools_say(server: Server) -> None:
    with Program(sys.executable, "driver_memory.py", TAKEN_MIB) as program:
        answer = server.wait_for(lambda answer: row(answer, program.pid))
        theirs = {int(one["pid"]): int(one["used_memory"]) for one in nvidia_smi("pid,used_memory", "compute-apps")}
        opinions = second_opinions()
        ours = row(answer, program.pid)
    assert ours is not None
    assert ours["kind"] == "compute"
    assert ours["used_bytes"] >= TAKEN_MIB * MIB
    assert abs(ours["used_bytes"] / MIB - theirs[program.pid]) <= 1
    (gpu,) = answer["gpus"]
    for name, unit in UNITS.items():
        said = opinions[name][gpu["uuid"]]["processes"][str(program.pid)]
        assert said == ours["used_bytes"] // unit, name
    assert [block["size"] for block in answer["blocks"] if block["pid"] == program.pid] == [ours["used_bytes"]]


def test_many_processes_add_up_to_what_the_gpu_says_is_used(server: Server) -> None:
    programs = [Program(sys.executable, "driver_memory.py", 100 + number) for number in range(PROGRAMS)]
    for program in programs:
        program.__enter__()
    try:
        pids = {program.pid for program in programs}
        answer = server.wait_for(lambda answer: pids <= {one["pid"] for one in answer["processes"]})
    finally:
        for program in programs:
            program.kill()
    assert answer["used_bytes"] == sum(one["used_bytes"] for one in answer["processes"]) + answer["unattributed_bytes"]
    assert 0 <= answer["unattributed_bytes"] < 64 * MIB
    server.wait_for(lambda answer: not pids & {one["pid"] for one in answer["processes"]})


def test_the_driver_library_is_as_good_as_before_after_a_fork() -> None:
    command = [sys.executable, "-c", LIST_AFTER_FORK]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert told["after"] == told["before"]
    assert told["before"][0] == "ok"


def test_memory_shared_between_processes_is_booked_to_the_one_that_took_it(server: Server, torch_python: str) -> None:
    with Program(torch_python, "sharing.py") as program:
        child = program.facts["child"]
        assert program.facts["shared"], "CUDA shares no memory between processes here"
        answer = server.wait_for(lambda answer: row(answer, program.pid) and row(answer, child))
    owner, guest = row(answer, program.pid), row(answer, child)
    assert owner is not None
    assert guest is not None
    assert owner["used_bytes"] >= program.facts["bytes"]
    print(f"owner {owner['used_bytes']}, guest {guest['used_bytes']}, unattributed {answer['unattributed_bytes']}")
    counted_twice = guest["used_bytes"] >= program.facts["bytes"]
    assert (answer["unattributed_bytes"] < 0) == counted_twice


def test_the_event_set_of_the_driver_can_be_watched(tmp_path: Path) -> None:
    source = NvmlSource()
    try:
        assert source.sample().facts["events"] == "watched"
    finally:
        source.close()
