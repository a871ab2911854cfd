"""Holds an array in CuPy, and says what CuPy counts: `cupy_program.py MIB`."""

import json
import sys

import cupy

MIB = 1 << 20
array = cupy.ones((int(sys.argv[1]) * MIB // 4,), dtype="float32")
del array
array = cupy.ones((int(sys.argv[1]) * MIB // 16,), dtype="float32")
pool = cupy.get_default_memory_pool()
print(json.dumps({"allocated_bytes": pool.used_bytes(), "reserved_bytes": pool.total_bytes()}), flush=True)
sys.stdin.read()
