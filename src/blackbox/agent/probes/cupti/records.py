"""Records of kernels in the buffers that CUPTI fills.

`CUpti_ActivityKernel7` to `13`, of CUDA 11.6 to 13.5: all begin alike, and what a version added stands behind.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

KIND = 10
"""CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: kernels run beside each other as they would anyway."""
VERSIONS = (range(17, 30), range(130_000, 140_000))
"""What `cuptiGetVersion` answers where records are laid out like this: CUDA 11.6 to 12.9, and 13."""
_LAYOUT = struct.Struct("=I2xHII QQQ III iii iii ii 56x I")
"""kind, registers, (cache settings), start, end, completed, device, context, stream, grid, block, static and dynamic
shared memory, (names and times), shared memory of the multiprocessor."""
BYTES = _LAYOUT.size
THREADS_MAX = 1024


class Launch(NamedTuple):
    """How one kernel ran."""

    nanoseconds: int
    device: int
    """Number of the device in the program."""
    grid: int
    """Thread blocks."""
    threads: int
    """Per block."""
    registers: int
    """Per thread."""
    shared_bytes: int
    """Per block."""
    shared_of_multiprocessor: int
    """How much of its memory the multiprocessor set aside for sharing; 0 where that is not told."""


class NoKernelError(ValueError):
    """The bytes are no record of a kernel: its layout is another."""


def read_launch(record: bytes) -> Launch:
    """A record that begins with these bytes. Raises `NoKernelError`."""
    (
        kind, registers, _, _, start, end, _, device, _, _, grid_x, grid_y, grid_z, x, y, z, static, dynamic, shared,
    ) = _LAYOUT.unpack(record)  # fmt: skip
    launch = Launch(end - start, device, grid_x * grid_y * grid_z, x * y * z, registers, static + dynamic, shared)
    if kind != KIND or not 0 < launch.threads <= THREADS_MAX or launch.grid < 1 or launch.nanoseconds < 0:
        raise NoKernelError(f"a record of kind {kind} that is none of a kernel")
    return launch
