"""The probe's assumptions on a real PyTorch, on the CPU."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON_VARIABLE = "BLACKBOX_TORCH_PYTHON"
"""Interpreter of an environment with PyTorch."""
SCRIPT = Path(__file__).with_name("real_torch.py")
SOURCES = Path(__file__).parents[2] / "src"
SECONDS_MAX = 120


@pytest.mark.slow
def test_the_probe_finds_its_way_in_a_real_pytorch() -> None:
    python = os.environ.get(PYTHON_VARIABLE)
    if python is None and importlib.util.find_spec("torch") is None:
        pytest.skip(f"PyTorch is not installed ({PYTHON_VARIABLE} names an interpreter that has it)")
    done = subprocess.run(
        [python or sys.executable, "-W", "error", SCRIPT],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts
    assert [fact for fact, holds in facts.items() if not holds] == []
