#!/bin/sh
# A device memory profile of JAX counts what lies in the machine's memory as the device's.
#
# Expected: a profile of device memory lists what is in the memory of devices; arrays that were put aside into the
# machine's (`memory_kind="pinned_host"`, `"unpinned_host"`), which is done to make room, are not in it, or marked.
# What happens: they are listed like all others, with the label of the device that they belong to, and nothing tells
# their kind of memory: three arrays of 1 MiB in three kinds of memory are 3 MiB of the device. With jax 0.10.2.
#
# So: the sum of a profile is no lower bound of what the device holds; with offloading it may be more than it has.

. "$(dirname "$0")/evidence.sh"

install jax==0.10.2
JAX_PLATFORMS=cpu
export JAX_PLATFORMS
evidence <<'PYTHON'
import gzip
import os
import tempfile
from pathlib import Path

from evidence import Evidence


import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

KINDS = ("device", "pinned_host", "unpinned_host")
MIB = 1 << 20
(device,) = jax.devices()
ones = jnp.ones((256, 1024), jnp.float32)
arrays = [jax.device_put(ones, SingleDeviceSharding(device, memory_kind=kind)) for kind in KINDS]
jax.block_until_ready(arrays)
del ones
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "memory.prof")
    jax.profiler.save_device_memory_profile(os.fspath(path))
    data = gzip.decompress(path.read_bytes())


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
        length = number()
        if key & 7 == 2:
            found.append((key >> 3, message[at : at + length]))
            at += length
        else:
            found.append((key >> 3, length))
    return found


def numbers(packed: bytes) -> list[int]:
    """Those of a repeated field."""
    return [value for _, value in fields(b"".join(b"\x08" + bytes(part) for part in _split(packed)))]


def _split(packed: bytes) -> list[bytes]:
    parts, part = [], b""
    for byte in packed:
        part += bytes([byte])
        if byte < 0x80:
            parts.append(part)
            part = b""
    return parts


SAMPLE, VALUES, LABEL, TEXT = 2, 2, 3, 6
profile = fields(data)
texts = [value.decode() for field, value in profile if field == TEXT]
sizes: dict[tuple[tuple[str, str], ...], int] = {}
for field, value in profile:
    if field == SAMPLE:
        sample = fields(value)
        pairs = [dict(fields(part)) for number, part in sample if number == LABEL]
        labels = tuple(sorted((texts[pair[1]], texts[pair[2]]) for pair in pairs))
        packed = next(part for number, part in sample if number == VALUES)
        sizes[labels] = sizes.get(labels, 0) + numbers(packed)[1]
buffers = {labels: size for labels, size in sizes.items() if ("kind", "buffer") in labels}

evidence = Evidence()
evidence.see("kinds of memory of three arrays", [array.sharding.memory_kind for array in arrays], list(KINDS))
evidence.see("buffers, by their labels", buffers, {(("device", "cpu:0"), ("kind", "buffer")): 3 * MIB})
evidence.close()
PYTHON
