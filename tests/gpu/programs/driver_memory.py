"""Takes memory from the driver itself, without any framework: `driver_memory.py MIB [POINTERS]`."""

import ctypes
import json
import sys

MIB = 1 << 20


def call(name: str, *arguments: object) -> None:
    code = getattr(ctypes.CDLL("libcuda.so.1"), name)(*arguments)
    if code:
        sys.exit(f"{name} failed with {code}")


size = int(sys.argv[1]) * MIB
device, context, pointer = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
call("cuInit", 0)
call("cuDeviceGet", ctypes.byref(device), 0)
call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
call("cuCtxSetCurrent", context)
call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
print(json.dumps({"allocated_bytes": size}), flush=True)
for _ in sys.stdin:
    print("{}", flush=True)
