#!/bin/sh
# RMM's two counts of what lives differ by up to 256 times: one counts what was asked for, one in pieces of 256 bytes.
#
# Expected: `get_allocated_bytes` means the same on a `TrackingResourceAdaptor` and on a `LimitingResourceAdaptor`, and a
# limit of 1000 bytes lets 1000 bytes through. What happens: tracking counts bytes as they were asked for; limiting rounds
# each up to 256, though the resource below it is asked for the plain size. So a limit of 1000 lets three single bytes
# through, and never a piece of 1000. With rmm 26.10, without a GPU.
#
# So: whoever shows "allocated" says which resource told it, and compares no two of them; a limit is a multiple of 256.

. "$(dirname "$0")/evidence.sh"

install rmm-cu12==26.10.0
evidence <<'PYTHON'
import ctypes

from evidence import Evidence, outcome


from rmm import mr

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
asked = []


def allocate(size: int, stream: object) -> int:
    asked.append(size)
    return libc.malloc(size)


heap = mr.CallbackMemoryResource(allocate, lambda address, size, stream: libc.free(address))
limiting = mr.LimitingResourceAdaptor(heap, 1000)
tracking = mr.TrackingResourceAdaptor(limiting)

evidence = Evidence()
pieces = [tracking.allocate(1) for _ in range(3)]
evidence.see("three single bytes, by tracking", tracking.get_allocated_bytes(), 3)
evidence.see("by limiting", limiting.get_allocated_bytes(), 768)
evidence.see("the resource below was asked for", asked, [1, 1, 1])
evidence.see("a fourth, of a limit of 1000", outcome(lambda: tracking.allocate(1)), "MemoryError")
for piece in pieces:
    tracking.deallocate(piece, 1)
evidence.see("all freed: 1000 at once", outcome(lambda: tracking.allocate(1000)), "MemoryError")
last = tracking.allocate(768)
evidence.see("768 at once, by both", (tracking.get_allocated_bytes(), limiting.get_allocated_bytes()), (768, 768))
tracking.deallocate(last, 768)
evidence.close()
PYTHON
