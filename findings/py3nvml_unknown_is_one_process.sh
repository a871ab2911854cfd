#!/bin/sh
# A GPU whose processes the driver does not tell has one process, says py3nvml.
#
# Expected: "if function can't get the info from the gpu will return -1 in that gpu's place", as it is documented for
# `get_num_procs`. What happens: it is 1, the length of a list that stands for the unknown one. For `get_free_gpus` such
# a GPU is free as soon as one process may be on it. With py3nvml 0.2.7.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: 1 from py3nvml may be any number of processes.

. "$(dirname "$0")/evidence.sh"

install py3nvml==0.2.7
cat >"$folder/driver.c" <<'C'
enum { NOT_SUPPORTED = 3 };
static char gpus[2];
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = gpus + index; return 0; }
int nvmlDeviceGetComputeRunningProcesses(void *handle, unsigned *count, void *rows) {
    *count = 0;
    return handle == gpus ? 0 : NOT_SUPPORTED;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
from evidence import Evidence


from py3nvml import utils

evidence = Evidence()
evidence.see("processes: none, and unknown", utils.get_num_procs(), [0, 1])
evidence.see("free with no process on it", utils.get_free_gpus(), [True, False])
evidence.see("free with one", utils.get_free_gpus(max_procs=1), [True, True])
evidence.close()
PYTHON
