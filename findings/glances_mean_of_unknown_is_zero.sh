#!/bin/sh
# One GPU whose memory the driver does not tell, and Glances' quick look shows 0 percent for all of them.
#
# Expected: the mean is that of the GPUs that are known, or it is missing, as in the list below it. What happens: a GPU
# that does not tell a figure (in MIG mode, or one that shares the machine's memory) has `None` there; the sum of all then
# fails, and what failed is 0. A machine with one full GPU and one such stands at 0 percent of memory and 0 of use in the
# quick look and its history (where its list names `gpu_mem`), beside "N/A" in the plugin's own line. It is the mean of
# percents, too: a full card of 8 GiB and an empty one of 80 make 50. With glances 4.5.8.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: a mean over GPUs is taken of bytes, of those that told them, and says of how many.

. "$(dirname "$0")/evidence.sh"

install glances==4.5.8 nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
#include <stdlib.h>
#include <string.h>
typedef unsigned long long u64;
struct memory { u64 total, free, used; };
struct rates { unsigned gpu, memory; };
enum { SUCCESS = 0, NOT_SUPPORTED = 3 };
static u64 GIB = 1ULL << 30;
static int told(void *handle) { return handle == (void *)1 || !getenv("SECOND_IS_SHARED"); }
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (char *)1 + index; return SUCCESS; }
int nvmlDeviceGetName(void *handle, char *text, unsigned length) { strcpy(text, "GPU"); return SUCCESS; }
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius) { *celsius = 40; return SUCCESS; }
int nvmlDeviceGetFanSpeed(void *handle, unsigned *percent) { return NOT_SUPPORTED; }
int nvmlDeviceGetUtilizationRates(void *handle, struct rates *rates) {
    *rates = (struct rates){handle == (void *)1 ? 90 : 10, 0};
    return told(handle) ? SUCCESS : NOT_SUPPORTED;
}
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    *memory = handle == (void *)1 ? (struct memory){8 * GIB, 0, 8 * GIB} : (struct memory){80 * GIB, 80 * GIB, 0};
    return told(handle) ? SUCCESS : NOT_SUPPORTED;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
import os
import sys

from evidence import Evidence


sys.argv = ["glances"]
from glances import gpu_percent
from glances.main import GlancesMain
from glances.plugins.gpu import GpuPlugin

core = GlancesMain()
core.args.disable_gpu = False
gpu_percent.get_gpu_mem = gpu_percent.get_gpu_proc = True  # as `quicklook` does, where its list names them


def shown() -> tuple[list[object], tuple[float, float], str]:
    """(each GPU's percent, the quick look's percent of memory and of use, the mean in the plugin's own line)"""
    plugin = GpuPlugin(args=core.get_args(), config=core.get_config())
    for _ in range(2):  # the mean is that of the look before
        plugin.update()
        plugin.refresh_timer.reset(0)  # without the wait for the next look
    own = plugin._format_value(plugin._get_mean("mem")).strip()
    return [gpu["mem"] for gpu in plugin.stats], (gpu_percent.gpu_mem, gpu_percent.gpu_proc), own


evidence = Evidence()
evidence.see("of 8 GiB all, of 80 GiB nothing in use", shown(), ([100.0, 0.0], (50.0, 50.0), "50%"))
os.environ["SECOND_IS_SHARED"] = "1"
evidence.see("the second does not tell", shown(), ([100.0, None], (0, 0), "N/A"))
evidence.close()
PYTHON
