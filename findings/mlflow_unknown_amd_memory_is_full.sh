#!/bin/sh
# An AMD GPU that does not tell its memory is full in MLflow: 100 percent, of -0.0 gigabytes.
#
# Expected: a figure that is not known is left out of the run's system metrics, with a warning, as on NVIDIA's. What
# happens: AMD's pyrsmi answers -1 for what its library refuses, MLflow divides -1 by -1, and logs that 100 percent are in
# use. Where the size is told and the use is not, it is 0 percent; the utilization is -1. Memory has another name and
# another unit than on NVIDIA's: `memory_usage_gigabytes` of 10^9, rounded to tenths, beside `memory_usage_megabytes`. The
# power's percent is that of 500 watts for every card. With mlflow-skinny 3.17.2 and pyrsmi 1.1.0.
#
# The library here is a stand-in of a few lines of C, and `cat` tells that the driver is there. It needs `cc`.
#
# So: 100 percent with 0.0 gigabytes is unknown; a chart over both makers' GPUs needs two names.

. "$(dirname "$0")/evidence.sh"

install mlflow-skinny==3.17.2 pyrsmi==1.1.0 psutil==7.2.2
cat >"$folder/library.c" <<'C'
#include <stdlib.h>
typedef unsigned long long u64;
enum { SUCCESS = 0, NOT_SUPPORTED = 2 };
struct power { u64 socket; unsigned current, average; u64 more[30]; };
static int told(const char *what) { return getenv(what) ? SUCCESS : NOT_SUPPORTED; }
int amdsmi_init(u64 flags) { return SUCCESS; }
int amdsmi_shut_down(void) { return SUCCESS; }
int amdsmi_get_processor_handles_by_type(int type, void **handles, unsigned *count) {
    if (handles) handles[0] = (void *)1;
    *count = 1;
    return SUCCESS;
}
int amdsmi_get_gpu_memory_total(void *handle, int type, u64 *bytes) { *bytes = 192ULL << 30; return told("TOTAL"); }
int amdsmi_get_gpu_memory_usage(void *handle, int type, u64 *bytes) { *bytes = 48ULL << 30; return told("USED"); }
int amdsmi_get_gpu_activity(void *handle, unsigned *percents) { percents[0] = 30; return told("BUSY"); }
int amdsmi_get_power_info(void *handle, struct power *watts) { watts->current = 750; return SUCCESS; }
C
mkdir "$folder/lib"
cc -shared -fPIC -o "$folder/lib/libamd_smi.so" "$folder/library.c"
cat >"$folder/cat" <<'TEXT'
#!/bin/sh
case $1 in /sys/module/amdgpu/initstate) echo live ;; *) exec /bin/cat "$@" ;; esac
TEXT
chmod +x "$folder/cat"
PATH="$folder:$PATH"
ROCM_PATH=$folder
export PATH ROCM_PATH
evidence <<'PYTHON'
import logging
import os

from evidence import Evidence


from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

logging.disable(logging.CRITICAL)
monitor = ROCMMonitor()


def logged(*known: str) -> dict[str, float]:
    for name in ("TOTAL", "USED", "BUSY"):
        os.environ.pop(name, None)
    os.environ |= dict.fromkeys(known, "1")
    monitor.clear_metrics()
    monitor.collect_metrics()
    return {name.removeprefix("gpu_0_"): value for name, value in monitor.aggregate_metrics().items()}


evidence = Evidence()
seen = logged("TOTAL", "USED", "BUSY")
memory = ("memory_usage_percentage", "memory_usage_gigabytes")
evidence.see("percent and GB, 48 of 192 GiB in use", [seen[name] for name in memory], [25.0, 51.5])
evidence.see("percent of its power, at its limit of 750 watts", seen["power_usage_percentage"], 150.0)
seen = logged("TOTAL")
evidence.see("use not told", [str(seen[name]) for name in memory], ["0.0", "-0.0"])
evidence.see("utilization that is not told", seen["utilization_percentage"], -1.0)
seen = logged()
evidence.see("size not told either", [str(seen[name]) for name in memory], ["100.0", "-0.0"])
evidence.close()
PYTHON
