"""RMM on malloc, with 500 bytes that live and a block of statistics that counts below zero: CUDA RESOURCES"""

import ctypes
import sys
import time

import rmm
from rmm import mr

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
heap = mr.CallbackMemoryResource(lambda size, _: libc.malloc(size), lambda address, _size, _stream: libc.free(address))
statistics = mr.StatisticsResourceAdaptor(heap)
resource = mr.TrackingResourceAdaptor(statistics) if sys.argv[2] == "tracking" else statistics
addresses = [resource.allocate(size) for size in (1000, 500)]
statistics.push_counters()
resource.deallocate(addresses[0], 1000)
mr.set_per_device_resource(0, resource)
ctypes.CDLL(sys.argv[1])  # the driver's library comes last: no part of RMM is to call it
print(rmm.__version__, statistics.allocation_counts.current_bytes, flush=True)
time.sleep(120)
