#!/bin/sh
# In NVIDIA's bindings, a process whose memory is not available is `None` in one list and a `TypeError` in another.
#
# Expected: both process lists turn "not available" (2^64 - 1) into `None`, as their code means. What happens: the plain
# list copies each row into a free object first, the detailed one assigns `None` to the integer field of a C struct, and
# ctypes refuses. One process without a figure takes the whole list along.
#
# The driver here is a stand-in of twenty lines of C: one GPU, one process, memory not available. It needs `cc`.
#
# So: the detailed list is read through ctypes directly, or `TypeError` is caught and the plain list asked instead.

. "$(dirname "$0")/evidence.sh"

install nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
#include <stddef.h>
typedef unsigned long long u64;
struct plain { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; };
struct detail { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; u64 protected_used; };
struct details { unsigned version, mode, count; struct detail *rows; };
enum { SUCCESS = 0, INSUFFICIENT_SIZE = 7 };
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return SUCCESS; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct plain *rows) {
    unsigned room = *count;
    *count = 1;
    if (room < 1) return INSUFFICIENT_SIZE;
    rows[0] = (struct plain){4711, ~0ULL, ~0U, ~0U};
    return SUCCESS;
}
int nvmlDeviceGetRunningProcessDetailList(void *handle, struct details *list) {
    unsigned room = list->count;
    list->count = 1;
    if (room < 1 || list->rows == NULL) return INSUFFICIENT_SIZE;
    list->rows[0] = (struct detail){4711, ~0ULL, ~0U, ~0U, ~0ULL};
    return SUCCESS;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence, outcome

VERSION_1 = 0x1000018
COMPUTE = 0



import pynvml

pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)

evidence = Evidence()
(row,) = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(gpu)
evidence.see("plain list: pid", row.pid, 4711)
evidence.see("plain list: memory", row.usedGpuMemory, None)
evidence.see(
    "detailed list",
    outcome(lambda: pynvml.nvmlDeviceGetRunningProcessDetailList(gpu, VERSION_1, COMPUTE)),
    "TypeError",
)
evidence.close()
PYTHON
