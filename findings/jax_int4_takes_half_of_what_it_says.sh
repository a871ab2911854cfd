#!/bin/sh
# An array of 4-bit integers takes half of what JAX says it takes, on the device as well.
#
# Expected: `nbytes` may count a whole byte for each 4-bit integer, as NumPy does on the host, but
# `on_device_size_in_bytes()` is the size on the device, where two share a byte; or both are right. What happens: both
# say a byte for each, and so do `save_device_memory_profile` and whatever adds these up; the device holds half. Only
# the analysis of a compiled program tells the true size of such an argument. Two and four bits together: an `int2`
# takes a quarter. With jax and jaxlib 0.10.2 on the CPU.
#
# So: in sums over arrays and in memory profiles, types of less than a byte are too large by 2 or 4, and a cache
# quantized to 4 bits seems to save nothing over 8.

. "$(dirname "$0")/evidence.sh"

install jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu
export JAX_PLATFORMS
evidence <<'PYTHON'
import os
from pathlib import Path

from evidence import Evidence


import jax
import jax.numpy as jnp

MIB = 1 << 20
ARRAYS, COUNT = 4, 64 * MIB


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def told(dtype: jnp.dtype) -> tuple[int, int, int, int]:
    """MiB of an array by nbytes, by its size on the device, by a program's argument, and as measured."""
    fill = jax.jit(lambda number: jnp.full((COUNT,), number, dtype))
    fill(0).block_until_ready()
    before = resident()
    arrays = [fill(number).block_until_ready() for number in range(ARRAYS)]
    held = (resident() - before) / ARRAYS / MIB
    (array, *_) = arrays
    argument = jax.jit(lambda a: a + 1).lower(array).compile().memory_analysis().argument_size_in_bytes
    return array.nbytes // MIB, array.on_device_size_in_bytes() // MIB, argument // MIB, round(held / 8) * 8


evidence = Evidence()
evidence.see("MiB of 64 Mi int8: nbytes, on the device, as argument, measured", told(jnp.int8), (64, 64, 64, 64))
evidence.see("of int4", told(jnp.int4), (64, 64, 32, 32))
evidence.see("of int2", told(jnp.int2), (64, 64, 16, 16))
evidence.close()
PYTHON
