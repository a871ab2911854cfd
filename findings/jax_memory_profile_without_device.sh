#!/bin/sh
# A device memory profile of JAX tells neither when it was taken nor where its compiled programs lie.
#
# Expected: a profile of device memory names the device of all that it lists, and pprof's field for the time is set as
# well. What happens: arrays bear the label `device`; compiled programs (`kind: executable`) bear none, also where
# there is only one device; `time_nanos` is 0. And a device whose arrays the profile lists may have no counters at
# all: on the CPU `memory_stats()` is None. With jax 0.10.2.
#
# So: whoever sums up a profile by device has a remainder that belongs to none, and takes the time from the file.

. "$(dirname "$0")/evidence.sh"

install jax==0.10.2
JAX_PLATFORMS=cpu
export JAX_PLATFORMS
evidence <<'PYTHON'
import os
import tempfile
from pathlib import Path

from evidence import Evidence


import gzip

import jax
import jax.numpy as jnp

ones = jnp.ones((256, 1024), jnp.float32)
double = jax.jit(lambda array: 2 * array)
array = double(ones)
array.block_until_ready()
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


SAMPLE, LABEL, TEXT, TIME = 2, 3, 6, 9
profile = fields(data)
texts = [value.decode() for field, value in profile if field == TEXT]
samples = [fields(value) for field, value in profile if field == SAMPLE]
labels = [
    {texts[pair[1]]: texts[pair[2]] for field, value in sample if field == LABEL for pair in [dict(fields(value))]}
    for sample in samples
]

evidence = Evidence()
evidence.see("labels of arrays", {tuple(sorted(one)) for one in labels if one["kind"] == "buffer"}, {("device", "kind")})
evidence.see("labels of programs", {tuple(sorted(one)) for one in labels if one["kind"] == "executable"}, {("kind",)})
evidence.see("time_nanos", dict(profile).get(TIME, 0), 0)
evidence.see("counters of the device", jax.local_devices()[0].memory_stats(), None)
evidence.close()
PYTHON
