"""Names of CUDA devices from a driver library of our own making, in a process where it is loaded or not."""

import os
import subprocess
import sys
from pathlib import Path

from blackbox.agent.devices import in_use, uuid_of
from blackbox.sources.amd.source import AmdSource
from tests.fake_amd import FakeAmd, FakeGpu
from tests.fake_frameworks import GPU, INSTANCE, build_cuda, build_hip
from tests.waiting import PATIENCE_SECONDS

ASK = """
import ctypes, sys
from blackbox.agent.devices import in_use, uuid_of
library = sys.argv[1]
if sys.argv[2] == "loaded":
    ctypes.CDLL(library)
print([uuid_of(ordinal, library) for ordinal in (0, 1, 2)], in_use(library))
"""

ASK_HIP = """
import ctypes, sys
from blackbox.agent.devices import uuid_of, uuid_of_hip
print(uuid_of_hip(0, sys.argv[2]))
ctypes.CDLL(sys.argv[1])
print([uuid_of_hip(ordinal, sys.argv[2]) for ordinal in (0, 1, 2)])
print(uuid_of(1, "libnothing-of-the-kind.so"))
"""


def ask(folder: Path, options: list[str], loaded: str, contexts: str = "") -> str:
    command = [sys.executable, "-c", ASK, build_cuda(folder, options), loaded]
    environ = {**os.environ, "FAKE_CUDA_CONTEXTS": contexts}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True, env=environ)
    return done.stdout.strip()


def test_a_gpu_and_a_slice_are_spelled_as_the_driver_does(tmp_path: Path) -> None:
    assert ask(tmp_path, [], "loaded") == f"{[GPU, INSTANCE, None]} []"


def test_a_device_is_in_use_once_it_has_a_context(tmp_path: Path) -> None:
    assert ask(tmp_path, [], "loaded", contexts="1").endswith(" [1]")
    assert ask(tmp_path, [], "loaded", contexts="01").endswith(" [0, 1]")


def test_a_library_the_program_has_not_loaded_is_not_loaded_for_this(tmp_path: Path) -> None:
    assert ask(tmp_path, [], "absent", contexts="01") == "[None, None, None] []"


def test_a_driver_that_is_not_initialised_is_left_so(tmp_path: Path) -> None:
    assert ask(tmp_path, ["-DINITIALIZED=0"], "loaded", contexts="01") == "[None, None, None] []"


def test_no_driver_is_no_name() -> None:
    assert uuid_of(0, "libnothing-of-the-kind.so") is None
    assert in_use("libnothing-of-the-kind.so") == []


def test_amds_gpus_are_named_as_their_source_names_them(tmp_path: Path) -> None:
    fake = FakeAmd(tmp_path / "root")
    fake.add_gpu(FakeGpu("0000:03:00.0", "1bd7a2c4f1e0a55c"))
    fake.add_gpu(FakeGpu("0000:c3:00.0", None))
    command = [sys.executable, "-c", ASK_HIP, build_hip(tmp_path), fake.root / "sys/bus/pci/drivers/amdgpu"]
    before, names, at_last = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    ).stdout.splitlines()
    assert before == "None"
    assert names == str([*(gpu.uuid for gpu in AmdSource(root=fake.root).sample().devices), None])
    assert at_last == "PCI-0000:c3:00.0"
