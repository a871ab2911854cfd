"""How many thread blocks of a kernel fit on a multiprocessor, and so how full it can be at best. No side effects.

The rules of NVIDIA's occupancy calculator: the scarcest of warps, blocks, registers and shared memory decides.
"""

from __future__ import annotations

from typing import NamedTuple

from blackbox.agent.devices import Chip

WARP_THREADS = 32
REGISTERS_UNIT = 256
"""Registers are given to warps in pieces of this size."""
WARPS_UNIT = 4
"""A multiprocessor has four parts with registers of their own."""
SHARED_UNIT_BYTES = 128
"""Shared memory is given to blocks in pieces of this size, from compute capability 8 on; 256 before."""
SHARED_UNIT_BYTES_BEFORE_8 = 256


class Fit(NamedTuple):
    """How much of a multiprocessor a kernel can use."""

    blocks: int
    """Thread blocks on a multiprocessor at the same time."""
    occupancy_percent: float
    """Its warps, of those that a multiprocessor can hold."""


def fit(chip: Chip, threads: int, registers: int, shared_bytes: int, shared_of_multiprocessor: int) -> Fit:
    """For a kernel with so many threads per block, registers per thread and bytes of shared memory per block;
    `shared_of_multiprocessor` 0 means as much as there is."""
    warps = _up(threads, WARP_THREADS) // WARP_THREADS
    warps_max = chip.threads // WARP_THREADS
    limits = [warps_max // warps, chip.blocks]
    if registers:
        held = chip.registers // _up(registers * WARP_THREADS, REGISTERS_UNIT)
        limits.append(held // WARPS_UNIT * WARPS_UNIT // warps)
    unit = SHARED_UNIT_BYTES if chip.major >= 8 else SHARED_UNIT_BYTES_BEFORE_8
    taken = _up(shared_bytes + chip.shared_reserved_bytes, unit)
    if taken:
        limits.append((shared_of_multiprocessor or chip.shared_bytes) // taken)
    blocks = min(limits)
    return Fit(blocks, 100.0 * blocks * warps / warps_max)


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
