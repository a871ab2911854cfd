"""`blackbox import memory.prof`: who holds what in a program that uses JAX."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.assertions import assert_honours_the_contract
from tests.genuine import case
from tests.jax_profiles import MIB, buffer, file, profile
from tests.waiting import PATIENCE_SECONDS

GIB = 1 << 30


def imported(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "blackbox", "import", str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def answer_of(path: Path) -> Any:
    done = imported(path)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert_honours_the_contract(answer)
    return answer


def test_a_profile_tells_who_holds_what() -> None:
    answer = answer_of(case("jax-memory-prof") / "memory.prof")
    (process,) = answer["processes"]
    assert (process["gpu"], process["allocated_bytes"]) == (0, 4 * GIB)
    assert [(stack["frames"], stack["allocated_bytes"]) for stack in answer["stacks"]] == [
        (["/app/train.py:10 build"], 3 * GIB),
        (["/app/train.py:40 step"], GIB),
    ]
    assert process["used_bytes"] == 4 * GIB + 5 * MIB, "with the compiled programs"
    assert [(block["type"], block["size"]) for block in answer["blocks"]] == [("other", process["used_bytes"])]


def test_one_that_is_not_packed_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "memory.pprof"
    path.write_bytes(profile(buffer(MIB, "gpu:3", ("f", "a.py", 1))))
    assert [process["gpu"] for process in answer_of(path)["processes"]] == [3]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is a profile, and tells no bytes"),
        (b"\xe3\x00\x00\x00{\xda", "it "),
        (file(buffer(MIB, "gpu:0"))[:-20], "it is cut or broken"),
        (gzip.compress(bytes(300 << 20), 1), "it unpacks to more than 256 MiB"),
    ],
    ids=["empty", "a profile of cProfile", "cut", "a bomb"],
)
def test_a_file_that_is_none_gives_one_line(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "memory.prof"
    path.write_bytes(data)
    done = imported(path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"blackbox: {path}: not a device memory profile of JAX: {reason}")
    assert done.stderr.count("\n") == 1
