"""What tests on a real NVIDIA GPU need. Without one they are skipped, wherever they run, and say so."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gpu.rig import Server

PYTHON_VARIABLE = "BLACKBOX_TORCH_PYTHON"
"""Interpreter of an environment with PyTorch; the one that runs the tests where it is not set."""
HAS_GPU = "import json, torch; print(json.dumps(torch.cuda.is_available()))"
ANSWER_SECONDS_MAX = 120


@pytest.fixture(autouse=True, scope="session")
def gpu() -> None:
    if not Path("/dev/nvidiactl").exists():
        pytest.skip("no NVIDIA GPU on this machine")


@pytest.fixture(scope="session")
def torch_python(gpu: None) -> str:
    """An interpreter whose PyTorch sees the GPU."""
    python = os.environ.get(PYTHON_VARIABLE) or sys.executable
    asked = subprocess.run(
        [python, "-c", HAS_GPU], capture_output=True, text=True, timeout=ANSWER_SECONDS_MAX, check=False
    )
    if asked.returncode or not json.loads(asked.stdout):
        pytest.skip(f"{python} has no PyTorch that sees the GPU ({PYTHON_VARIABLE} names an interpreter that has)")
    return python


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """`blackbox serve` with everything on that costs nothing unless used."""
    with Server(tmp_path) as running:
        yield running
