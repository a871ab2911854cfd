#!/bin/sh
# What RMM's `StatisticsResourceAdaptor` says is allocated may be 0, or below, while memory lives.
#
# Expected: `allocation_counts.current_bytes` is what lives, since the class counts allocations and its first figure is
# called "current". What happens: the counts are of the innermost open block of statistics. `push_counters()` opens one at
# 0, whatever lives; freeing memory that is older than the block takes it below 0. Nothing on the object tells that a
# block is open, and any part of a program may open one (`rmm.statistics.statistics()` does). With rmm 26.10.
#
# So: what lives is asked of a `TrackingResourceAdaptor` or a `LimitingResourceAdaptor` (`get_allocated_bytes`), and a
# `StatisticsResourceAdaptor` is no source for it.

. "$(dirname "$0")/evidence.sh"

install rmm-cu12==26.10.0
evidence <<'PYTHON'
import ctypes

from evidence import Evidence


from rmm import mr

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
heap = mr.CallbackMemoryResource(lambda size, _: libc.malloc(size), lambda address, _size, _stream: libc.free(address))
statistics = mr.StatisticsResourceAdaptor(heap)
tracking = mr.TrackingResourceAdaptor(statistics)
older, younger = tracking.allocate(1000), tracking.allocate(500)

evidence = Evidence()
evidence.see("statistics, with 1500 bytes alive", statistics.allocation_counts.current_bytes, 1500)
statistics.push_counters()
evidence.see("statistics, in a block", statistics.allocation_counts.current_bytes, 0)
tracking.deallocate(older, 1000)
evidence.see("statistics, with 500 bytes alive", statistics.allocation_counts.current_bytes, -1000)
evidence.see("tracking, with 500 bytes alive", tracking.get_allocated_bytes(), 500)
statistics.pop_counters()
evidence.see("statistics, after the block", statistics.allocation_counts.current_bytes, 500)
tracking.deallocate(younger, 500)
evidence.close()
PYTHON
