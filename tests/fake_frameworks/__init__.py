"""See the README."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fake_nvml.library import compiled, compiler

FOLDER = Path(__file__).parent
GPU = "GPU-10101010-1010-1010-1010-101010101010"
INSTANCE = "MIG-abababab-abab-abab-abab-abababababab"


def build_cuda(folder: Path, options: Sequence[str] = ()) -> Path:
    """The driver library, compiled; skips the test where there is no compiler."""
    return _build(folder / "libcuda.so.1", FOLDER / "cuda.c", options)


def build_cupti(folder: Path) -> Path:
    """CUPTI, likewise."""
    return _build(folder / "libcupti.so.13", FOLDER / "cupti.c", ())


def build_hip(folder: Path) -> Path:
    """HIP, of ROCm, likewise."""
    return _build(folder / "libamdhip64.so.7", FOLDER / "hip.c", ())


def _build(library: Path, source: Path, options: Sequence[str]) -> Path:
    if compiler() is None:
        pytest.skip("no C compiler for NVIDIA's libraries (Debian: apt install gcc libc6-dev)")
    return compiled(library, [source], ("-shared", "-fPIC", *options))
