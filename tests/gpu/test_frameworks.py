"""Counters of JAX and CuPy on a real GPU, where they are installed."""

import subprocess
import sys

import pytest

from tests.gpu.rig import Program, Server, row

pytestmark = pytest.mark.gpu
MIB = 1 << 20
HELD_MIB = 256


@pytest.mark.parametrize("framework", ["jax", "cupy"])
def test_the_row_of_a_process_is_what_the_framework_counts(framework: str, server: Server) -> None:
    if subprocess.run([sys.executable, "-c", f"import {framework}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{framework} is not installed")
    variables = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.1"}
    with Program(
        sys.executable, f"{framework}_program.py", HELD_MIB, socket=server.socket, variables=variables
    ) as program:
        pid, facts = program.pid, program.facts
        answer = server.wait_for(lambda answer: (row(answer, pid) or {}).get("allocated_bytes"))
    ours = row(answer, pid)
    assert ours is not None
    assert (ours["allocated_bytes"], ours["reserved_bytes"]) == (facts["allocated_bytes"], facts["reserved_bytes"])
    assert ours["used_bytes"] >= ours["reserved_bytes"] >= HELD_MIB * MIB
    assert "totals alone" in answer["unknown"]["blocks"]
