"""Holds an array in JAX, and says what JAX counts: `jax_program.py MIB`."""

import json
import sys

import jax

MIB = 1 << 20
array = jax.numpy.ones((int(sys.argv[1]) * MIB // 4,), dtype="float32").block_until_ready()
stats = jax.devices()[0].memory_stats()
print(json.dumps({"allocated_bytes": stats["bytes_in_use"], "reserved_bytes": stats["pool_bytes"]}), flush=True)
sys.stdin.read()
