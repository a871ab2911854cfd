"""A fake NVIDIA driver library for tests, controlled live from Python."""

from tests.fake_nvml.driver import FakeDriver
from tests.fake_nvml.library import build, compiler
from tests.fake_nvml.machine import GIB, Gpm, Gpu, Limit, Machine, Memory, Mig, Process, gpu_uuid, mig_uuid

__all__ = [
    "GIB",
    "FakeDriver",
    "Gpm",
    "Gpu",
    "Limit",
    "Machine",
    "Memory",
    "Mig",
    "Process",
    "build",
    "compiler",
    "gpu_uuid",
    "mig_uuid",
]
