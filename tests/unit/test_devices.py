"""Names of CUDA devices from a driver library of our own making, in a process where it is loaded or not."""

import subprocess
import sys
from pathlib import Path

import pytest

from blackbox.agent.devices import uuid_of
from tests.fake_nvml.library import compiler

SOURCE = """
#include <string.h>
#ifndef INITIALIZED
#define INITIALIZED 1
#endif
int cuDeviceGet(int *device, int ordinal) {
    if (!INITIALIZED) return 3;
    if (ordinal > 1) return 101;
    *device = ordinal;
    return 0;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) { memset(uuid, 0x10 + device, 16); return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { memset(uuid, device ? 0xab : 0x10, 16); return 0; }
"""
ASK = """
import ctypes, sys
from blackbox.agent.devices import uuid_of
library = sys.argv[1]
if sys.argv[2] == "loaded":
    ctypes.CDLL(library)
print([uuid_of(ordinal, library) for ordinal in (0, 1, 2)])
"""


def ask(folder: Path, options: list[str], loaded: str) -> str:
    cc = compiler()
    if cc is None:
        pytest.skip("no C compiler for the driver library (Debian: apt install gcc libc6-dev)")
    (folder / "cuda.c").write_text(SOURCE)
    library = folder / "libcuda.so.1"
    subprocess.run([cc, "-shared", "-fPIC", *options, "-o", library, folder / "cuda.c"], check=True, timeout=60)
    command = [sys.executable, "-c", ASK, library, loaded]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def test_a_gpu_and_a_slice_are_spelled_as_the_driver_does(tmp_path: Path) -> None:
    gpu, instance = "10101010-1010-1010-1010-101010101010", "abababab-abab-abab-abab-abababababab"
    assert ask(tmp_path, [], "loaded") == str([f"GPU-{gpu}", f"MIG-{instance}", None])


def test_a_library_the_program_has_not_loaded_is_not_loaded_for_this(tmp_path: Path) -> None:
    assert ask(tmp_path, [], "absent") == "[None, None, None]"


def test_a_driver_that_is_not_initialised_is_left_so(tmp_path: Path) -> None:
    assert ask(tmp_path, ["-DINITIALIZED=0"], "loaded") == "[None, None, None]"


def test_no_driver_is_no_name() -> None:
    assert uuid_of(0, "libnothing-of-the-kind.so") is None
