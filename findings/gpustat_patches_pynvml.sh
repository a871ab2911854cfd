#!/bin/sh
# `import gpustat` changes what NVIDIA's bindings answer in the whole process, and what they can be asked.
#
# Expected: a program that shows GPUs is one more user of `pynvml`. What happens: it puts its own function in the place of
# `pynvml.nvmlDeviceGetMemoryInfo`. From the import on, used memory leaves out the driver's reserve, and so whatever else in
# the process logs it (MLflow's metrics, for one) jumps by hundreds of megabytes; and the argument `version` is gone: who
# asks for a version gets a `TypeError`. gpustat's own free memory is total less used, so the reserve counts as free.
# With gpustat 1.1.1 and nvidia-ml-py 13.615.71.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: who reads memory beside strangers' code keeps the function from its own import, or a process of its own.

. "$(dirname "$0")/evidence.sh"

install gpustat==1.1.1 nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
#include <string.h>
typedef unsigned long long u64;
enum { SUCCESS = 0, NOT_SUPPORTED = 3, MIB = 1 << 20 };
struct memory_1 { u64 total, free, used; };
struct memory_2 { unsigned version; u64 total, reserved, free, used; };
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { strcpy(text, "610.1"); return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetIndex(void *handle, unsigned *index) { *index = 0; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return SUCCESS; }
int nvmlDeviceGetName(void *handle, char *text, unsigned length) { strcpy(text, "GPU"); return SUCCESS; }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) { strcpy(text, "GPU-0"); return SUCCESS; }
int nvmlDeviceGetMemoryInfo(void *handle, struct memory_1 *memory) {
    *memory = (struct memory_1){8192ULL * MIB, 5592ULL * MIB, 2600ULL * MIB};
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_2 *memory) {
    *memory = (struct memory_2){memory->version, 8192ULL * MIB, 600ULL * MIB, 5592ULL * MIB, 2000ULL * MIB};
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows) { *count = 0; return SUCCESS; }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *rows) { *count = 0; return SUCCESS; }
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence, outcome


import pynvml

MIB = 1 << 20
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)


def used() -> int:
    return pynvml.nvmlDeviceGetMemoryInfo(handle).used // MIB


def used_by_version() -> object:
    return outcome(lambda: pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used // MIB)


evidence = Evidence()
evidence.see("MiB used, and by the second version", (used(), used_by_version()), (2600, 2000))

import gpustat

evidence.see("the same after `import gpustat`", (used(), used_by_version()), (2000, "TypeError"))
(gpu,) = gpustat.new_query()
seen = (gpu.memory_total, gpu.memory_used, gpu.memory_free)
evidence.see("gpustat's total, used, free; the driver says 5592 free", seen, (8192, 2000, 6192))
evidence.close()
PYTHON
