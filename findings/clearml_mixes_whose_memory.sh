#!/bin/sh
# In ClearML a GPU's used GB are this program's, its percent and free GB everybody's; a utilization that is not known is
# 100 percent.
#
# Expected: "used", "usage" and "free" of one GPU, in one chart, are of one thing, so used and free add up to what there
# is. What happens: used is what this program and its children hold, usage and free count all programs: of a GPU of 24
# GB, 1 is used, 83 percent are, 4 are free. Where the driver does not tell how busy a GPU is, as for every MIG slice,
# 100 is charted, after one line in the log. With clearml 2.1.12.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: free is compared with the GPU's, used with the process's; and a GPU that was at 100 percent all the time may be a
# slice.

. "$(dirname "$0")/evidence.sh"

install clearml==2.1.12
cat >"$folder/driver.c" <<'C'
#include <string.h>
#include <unistd.h>
typedef unsigned long long u64;
struct memory { u64 total, free, used; };
struct process { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; };
enum { NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return 0; }
int nvmlDeviceGetIndex(void *handle, unsigned *index) { *index = 0; return 0; }
int nvmlDeviceGetName(void *handle, char *into, unsigned length) { strcpy(into, "GPU"); return 0; }
int nvmlDeviceGetUUID(void *handle, char *into, unsigned length) { strcpy(into, "GPU-0"); return 0; }
int nvmlDeviceGetUtilizationRates(void *handle, void *rates) { return NOT_SUPPORTED; }
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    *memory = (struct memory){24ULL << 30, 4ULL << 30, 20ULL << 30};
    return 0;
}
static int list(unsigned *count, struct process *rows) {
    unsigned room = *count;
    *count = 2;
    if (room < 2) return INSUFFICIENT_SIZE;
    rows[0] = (struct process){1, 19ULL << 30, ~0U, ~0U};
    rows[1] = (struct process){getpid(), 1ULL << 30, ~0U, ~0U};
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct process *rows) { return list(count, rows); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, struct process *rows) { return *count = 0; }
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
import os

from evidence import Evidence


from clearml.utilities.resource_monitor import ResourceMonitor, gpustat


class Silent:
    def get_logger(self) -> "Silent":
        return self

    def report_text(self, text: str) -> None:
        pass


class Monitor(ResourceMonitor):
    """Without a server to report to: its settings are those that a task would have."""

    def __init__(self) -> None:
        self._task, self._gpustat, self._active_gpus = Silent(), gpustat, None
        self._gpu_memory_per_process, self._process_info, self._last_process_pool = True, {"pid": os.getpid()}, {}
        self._last_process_id_list, self._report_frequency = [os.getpid()], 30.0
        self._default_gpu_utilization, self._gpu_utilization_warning_sent = 100, False


told = Monitor()._get_gpu_stats()

evidence = Evidence()
evidence.see("used, of 24 GB", told["gpu_0_mem_used_gb"], 1.0)
evidence.see("usage, percent", round(told["gpu_0_mem_usage"]), 83)
evidence.see("free, GB", told["gpu_0_mem_free_gb"], 4.0)
evidence.see("busy, where the driver does not tell", told["gpu_0_utilization"], 100)
evidence.close()
PYTHON
