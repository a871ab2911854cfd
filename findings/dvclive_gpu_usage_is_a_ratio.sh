#!/bin/sh
# What DVCLive charts as a GPU's usage is how much of its busy time went to memory: the busiest GPU has the smallest one.
#
# Expected: `system/gpu/usage (%)` is the driver's utilization, the share of time in which a kernel ran. What happens: it
# is the utilization of the memory's controller divided by that, times 100. A GPU that computes all the time and seldom
# goes to memory has 5 percent; one that idles nine tenths of the time and copies in the last has 100; where both are
# half it is 100 as well. The figures of memory beside it are right, but "GB" are of 1024. With dvclive 3.49.1.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: nothing follows from that chart about how busy a GPU was.

. "$(dirname "$0")/evidence.sh"

install dvclive==3.49.1 nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
#include <stdlib.h>
typedef unsigned long long u64;
struct memory { u64 total, free, used; };
struct rates { unsigned gpu, memory; };
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return 0; }
int nvmlDeviceGetUtilizationRates(void *handle, struct rates *rates) {
    *rates = (struct rates){atoi(getenv("BUSY")), atoi(getenv("MEMORY_BUSY"))};
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    *memory = (struct memory){24ULL << 30, 4ULL << 30, 20ULL << 30};
    return 0;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
import os

from evidence import Evidence


from dvclive.monitor_system import _SystemMonitor

monitor = _SystemMonitor.__new__(_SystemMonitor)  # without the thread that asks again and again


def told(busy: int, memory_busy: int) -> float:
    os.environ |= {"BUSY": str(busy), "MEMORY_BUSY": str(memory_busy)}
    return monitor._get_gpu_info()["system/gpu/usage (%)/0"]


evidence = Evidence()
evidence.see("usage of a GPU that is busy all the time, its memory 5 percent of it", told(100, 5), 5.0)
evidence.see("busy 10 percent, its memory as well", told(10, 10), 100.0)
evidence.see("both half of the time", told(50, 50), 100.0)
evidence.see("GB of 20 GiB in use", monitor._get_gpu_info()["system/vram/usage (GB)/0"], 20.0)
evidence.close()
PYTHON
