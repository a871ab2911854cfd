#!/bin/sh
# In NVIDIA's bindings a field that the GPU does not have is 0, without an error, and `version=2` is no version.
#
# Expected: asking for a value that is not supported raises `NVMLError_NotSupported`, as every other call of the bindings
# does; and `nvmlDeviceGetMemoryInfo(gpu, version=2)` asks for the second version of that struct.
# What happens: `nvmlDeviceGetFieldValues` raises only where the whole call fails. Each field has a return code of its
# own that nobody looks at, and a value that is then 0 or whatever the driver left there. And the version that is wanted is the struct's
# size and number in one (`nvmlMemory_v2`, 0x2000028): 2 is passed on as it is, and the driver refuses it.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`. With nvidia-ml-py 13.615.71.
#
# So: read `nvmlReturn` of each field before its value, and take the constants of the bindings.

. "$(dirname "$0")/evidence.sh"

install nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
typedef unsigned long long u64;
struct memory { unsigned version; u64 total, reserved, free, used; };
struct field { unsigned id, scope; long long time, latency; unsigned type, code; u64 value; };
enum { SUCCESS = 0, NOT_SUPPORTED = 3, VERSION_MISMATCH = 25, VERSION_2 = 0x2000028 };
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return SUCCESS; }
int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *value) { return NOT_SUPPORTED; }
int nvmlDeviceGetFieldValues(void *handle, int count, struct field *fields) {
    for (int i = 0; i < count; i++) fields[i].code = NOT_SUPPORTED;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory *memory) {
    if (memory->version != VERSION_2) return VERSION_MISMATCH;
    memory->used = 4096;
    return SUCCESS;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence, outcome


import pynvml

pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
fields = pynvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_MEMORY_TEMP])

evidence = Evidence()
call = outcome(lambda: pynvml.nvmlDeviceGetTemperature(gpu, 0))
evidence.see("a call for what the GPU does not have", call, "NVMLError_NotSupported")
evidence.see("a field that it does not have", fields[0].value.uiVal, 0)
evidence.see("its own return code", fields[0].nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED, True)
second = outcome(lambda: pynvml.nvmlDeviceGetMemoryInfo(gpu, version=2))
evidence.see("memory, version=2", second, "NVMLError_ArgumentVersionMismatch")
evidence.see("memory, version=nvmlMemory_v2", pynvml.nvmlDeviceGetMemoryInfo(gpu, pynvml.nvmlMemory_v2).used, 4096)
evidence.close()
PYTHON
