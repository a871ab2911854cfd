#!/bin/sh
# NVIDIA has two bindings for Python, and they disagree: about used memory, and about what the driver does not tell.
#
# Expected: `cuda.core.system`, the successor, answers as `nvidia-ml-py` does, or better typed. What happens: memory of
# a process that the driver does not tell is `None` in one and 18446744073709551615 in the other, an `int` among ints,
# so the sum and the largest are nonsense. And "used" is another quantity: the old default includes the driver's
# reserve, the new one leaves it out. With cuda-core 1.2.2 on cuda-bindings 13.5.0, and nvidia-ml-py 13.615.71.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: who changes bindings checks each process's memory against 2^64-1, and expects used memory to fall by the reserve.

. "$(dirname "$0")/evidence.sh"

install cuda-core==1.2.2 cuda-bindings==13.5.0 nvidia-ml-py==13.615.71 numpy==2.4.6
cat >"$folder/driver.c" <<'C'
#include <string.h>
typedef unsigned long long u64;
enum { SUCCESS = 0, INSUFFICIENT_SIZE = 7, MIB = 1 << 20 };
struct memory_1 { u64 total, free, used; };
struct memory_2 { unsigned version; u64 total, reserved, free, used; };
struct process { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; };
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return "error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { strcpy(text, "610.1"); return SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13050; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return SUCCESS; }
int nvmlDeviceGetMemoryInfo(void *handle, struct memory_1 *memory) {
    *memory = (struct memory_1){8192ULL * MIB, 5592ULL * MIB, 2600ULL * MIB};
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_2 *memory) {
    *memory = (struct memory_2){memory->version, 8192ULL * MIB, 600ULL * MIB, 5592ULL * MIB, 2000ULL * MIB};
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct process *rows) {
    unsigned room = *count;
    *count = 2;
    if (room < 2) return INSUFFICIENT_SIZE;
    rows[0] = (struct process){4711, 900ULL * MIB, ~0U, ~0U};
    rows[1] = (struct process){4712, ~0ULL, ~0U, ~0U};
    return SUCCESS;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence


import pynvml
from cuda.core import system

MIB = 1 << 20
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
(device,) = system.Device.get_all_devices()
older = {one.pid: one.usedGpuMemory for one in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
newer = {one.pid: one.used_gpu_memory for one in device.compute_running_processes}

evidence = Evidence()
evidence.see("processes by nvidia-ml-py", older, {4711: 900 * MIB, 4712: None})
evidence.see("processes by cuda.core", newer, {4711: 900 * MIB, 4712: 2**64 - 1})
evidence.see("the largest, by cuda.core", max(newer, key=newer.get), 4712)
used = (pynvml.nvmlDeviceGetMemoryInfo(handle).used // MIB, device.memory_info.used // MIB)
evidence.see("MiB used by nvidia-ml-py, by cuda.core", used, (2600, 2000))
evidence.close()
PYTHON
