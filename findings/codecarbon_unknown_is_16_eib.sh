#!/bin/sh
# A GPU whose memory the driver does not tell has 16 EiB to CodeCarbon, all of it in use and all of it free.
#
# Expected: what the driver does not tell (DGX Spark and other machines where GPU and CPU share their memory) is None,
# or left out. What happens: it is answered with a structure of -1, whose fields have no sign: 18446744073709551615 bytes
# are the total, the same are used and the same are free. With codecarbon 3.3.2.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: whoever adds up such figures throws out what is larger than any GPU.

. "$(dirname "$0")/evidence.sh"

install codecarbon==3.3.2 nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
#include <string.h>
enum { NOT_SUPPORTED = 3 };
static int number(unsigned *value) { *value = 1; return 0; }
static int text(char *into) { strcpy(into, "GPU-0"); return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { return number(count); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = handle; return 0; }
int nvmlDeviceGetName(void *handle, char *into, unsigned length) { return text(into); }
int nvmlDeviceGetUUID(void *handle, char *into, unsigned length) { return text(into); }
int nvmlDeviceGetMemoryInfo(void *handle, void *memory) { return NOT_SUPPORTED; }
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) { return number(milliwatts); }
int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) { return number(milliwatts); }
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees) { return number(degrees); }
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) { return number(rates) | number(rates + 1); }
int nvmlDeviceGetComputeMode(void *handle, unsigned *mode) { return number(mode); }
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) { *millijoules = 1; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows) { return *count = 0; }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *rows) { return *count = 0; }
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence


from codecarbon.core.gpu import AllGPUDevices

(gpu,) = AllGPUDevices().devices
now = gpu.get_gpu_details()

evidence = Evidence()
evidence.see("total memory", gpu.get_static_details()["total_memory"], 2**64 - 1)
evidence.see("used and free", (now["used_memory"], now["free_memory"]), (2**64 - 1, 2**64 - 1))
evidence.close()
PYTHON
