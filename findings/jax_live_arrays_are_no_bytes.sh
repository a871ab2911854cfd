#!/bin/sh
# The sizes of `jax.live_arrays()` do not add up to memory, and looking at an array's parts makes the sum larger.
#
# Expected: the sum of `nbytes` over `live_arrays()` is what arrays hold. What happens: the list is one of Python's
# objects. `device_put` to where an array is already makes another object over the same buffer, which counts again; an
# array replicated on four devices counts once; and asking it for `addressable_shards`, as code that sums by device must,
# makes an array of each, which count beside it from then on - as one does that was asked for its address. The device
# memory profile of the same moments is right: one buffer a device. With jax 0.10.2, on four CPU devices.
#
# So: what arrays hold is the profile's sum or the device's own counter (`memory_stats`, which CPUs have not).

. "$(dirname "$0")/evidence.sh"

install jax==0.10.2
JAX_PLATFORMS=cpu
XLA_FLAGS=--xla_force_host_platform_device_count=4
export JAX_PLATFORMS XLA_FLAGS
evidence <<'PYTHON'
import gzip

from evidence import Evidence


import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

MIB = 1 << 20


def listed() -> int:
    return sum(array.nbytes for array in jax.live_arrays()) // MIB


def fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message: numbers, and whatever has a length."""

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    at, found = 0, []
    while at < len(message):
        key = number()
        value = number()
        if key & 7 == 2:
            found.append((key >> 3, message[at : at + value]))
            at += value
        else:
            found.append((key >> 3, value))
    return found


SAMPLE, VALUES, LABEL, TEXT, KEY, WORD = 2, 2, 3, 6, 1, 2


def varints(packed: bytes) -> list[int]:
    values, shift = [0], 0
    for byte in packed:
        values[-1] |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(0)
            shift = 0
    return values[:-1]


def profiled() -> int:
    """The bytes of all buffers in the profile."""
    profile = fields(gzip.decompress(jax.profiler.device_memory_profile()))
    texts = [value.decode() for field, value in profile if field == TEXT]
    held = 0
    for field, value in profile:
        if field == SAMPLE:
            parts = fields(value)
            labels = [dict(fields(part)) for number, part in parts if number == LABEL]
            if any(texts[label[WORD]] == "buffer" for label in labels):
                held += varints(next(part for number, part in parts if number == VALUES))[1]
    return held // MIB


evidence = Evidence()
array = jnp.ones((1024, 1024), jnp.float32)
array.block_until_ready()
evidence.see("one array of 4 MiB: listed, profiled", (listed(), profiled()), (4, 4))
again = jax.device_put(array, jax.devices()[0])
evidence.see("put to where it is: another object", again is array, False)
evidence.see("listed, profiled", (listed(), profiled()), (8, 4))
evidence.see("over the same buffer", again.unsafe_buffer_pointer() == array.unsafe_buffer_pointer(), True)
evidence.see("after that question: listed, profiled", (listed(), profiled()), (12, 4))
mesh = Mesh(jax.devices(), ("device",))
everywhere = jax.device_put(array, NamedSharding(mesh, PartitionSpec()))
everywhere.block_until_ready()
evidence.see("replicated on four devices as well: listed, profiled", (listed(), profiled()), (16, 16))
sizes = [shard.data.nbytes // MIB for shard in everywhere.addressable_shards]
evidence.see("its parts", sizes, [4, 4, 4, 4])
evidence.see("after that look: listed, profiled", (listed(), profiled()), (32, 16))
evidence.close()
PYTHON
