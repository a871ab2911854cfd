#!/bin/sh
# What the driver does not tell is a number in Ray: a process holds 0 MB, a GPU is busy by -1 percent.
#
# Expected: unknown is `None`, as Ray's type `Optional[Percentage]` says. What happens: a utilization that the driver does
# not tell (as for every MIG slice) is -1, and the reporter, which leaves out `None`, exports that. A process whose memory
# is not available (as in containers, and under Windows' driver model) holds 0. Two lists are joined by pid, the later
# one wins: a process that is in the list of graphics too loses the figure of the list of compute. With ray 2.60.0.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: of Ray's numbers a GPU's utilization below 0, and a process's memory of 0, are unknown.

. "$(dirname "$0")/evidence.sh"

install ray==2.60.0
cat >"$folder/driver.c" <<'C'
#include <string.h>
typedef unsigned long long u64;
struct memory { u64 total, free, used; };
struct process { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; };
enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
static int list(unsigned *count, struct process *rows, unsigned pid, u64 used) {
    unsigned room = *count;
    *count = 2;
    if (room < 2) return INSUFFICIENT_SIZE;
    rows[0] = (struct process){4711, pid ? used : ~0ULL, ~0U, ~0U};
    rows[1] = (struct process){4712, ~0ULL, ~0U, ~0U};
    return SUCCESS;
}
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return SUCCESS; }
int nvmlDeviceGetName(void *handle, char *text, unsigned length) { strcpy(text, "GPU"); return SUCCESS; }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) { strcpy(text, "GPU-0"); return SUCCESS; }
int nvmlDeviceGetUtilizationRates(void *handle, void *rates) { return NOT_SUPPORTED; }
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    *memory = (struct memory){8ULL << 30, 6ULL << 30, 2ULL << 30};
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct process *rows) {
    return list(count, rows, 4711, 1ULL << 30);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, struct process *rows) {
    return list(count, rows, 0, 0);
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence


from ray._private.thirdparty import pynvml
from ray.dashboard.modules.reporter.gpu_providers import NvidiaGpuProvider

(gpu,) = NvidiaGpuProvider().get_gpu_utilization()
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
compute = {one.pid: one.usedGpuMemory for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}

evidence = Evidence()
evidence.see("utilization that the driver does not tell", gpu["utilization_gpu"], -1)
evidence.see("bytes of the processes, by Ray's own bindings", compute, {4711: 1 << 30, 4712: None})
held = {pid: row["gpu_memory_usage"] for pid, row in gpu["processes_pids"].items()}
evidence.see("their MB, by Ray", held, {4711: 0, 4712: 0})
evidence.close()
PYTHON
