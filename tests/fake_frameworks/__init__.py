"""See the README."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fake_nvml.library import compiler

FOLDER = Path(__file__).parent
GPU = "GPU-10101010-1010-1010-1010-101010101010"
INSTANCE = "MIG-abababab-abab-abab-abab-abababababab"


def build_cuda(folder: Path, options: Sequence[str] = ()) -> Path:
    """The driver library, compiled; skips the test where there is no compiler."""
    cc = compiler()
    if cc is None:
        pytest.skip("no C compiler for the driver library (Debian: apt install gcc libc6-dev)")
    library = folder / "libcuda.so.1"
    words = [cc, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", *options, "-o", library, FOLDER / "cuda.c"]
    subprocess.run(words, check=True, timeout=60)
    return library
