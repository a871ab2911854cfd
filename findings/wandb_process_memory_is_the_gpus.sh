#!/bin/sh
# In Weights & Biases the memory that a run's process holds on a GPU is that of everybody on it.
#
# Expected: `gpu.process.0.memoryAllocatedBytes` is what the run's process takes, beside `gpu.0.memoryAllocatedBytes` of
# the whole GPU. What happens: the two are one figure under two names, and so are percent, use, temperature and power;
# that the process uses the GPU is all that is looked at. A run of 1 GiB beside a stranger's 58 is told with 59 GiB. The
# driver's list, which has the process's own bytes, is read for its numbers of processes alone. With wandb 0.31.0.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: runs that share a GPU each have the sum of all in that chart; the process's own bytes come from elsewhere.

. "$(dirname "$0")/evidence.sh"

install wandb==0.31.0
cat >"$folder/driver.c" <<'C'
#include <stdlib.h>
#include <string.h>
typedef unsigned long long u64;
struct memory { u64 total, free, used; };
struct memory_2 { unsigned version; u64 total, reserved, free, used; };
struct rates { unsigned gpu, memory; };
struct process { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; };
enum { SUCCESS = 0, INSUFFICIENT_SIZE = 7 };
static u64 GIB = 1ULL << 30;
int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13000; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = (void *)1; return SUCCESS; }
int nvmlDeviceGetName(void *handle, char *text, unsigned length) { strcpy(text, "GPU"); return SUCCESS; }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) { strcpy(text, "GPU-0"); return SUCCESS; }
int nvmlDeviceGetBrand(void *handle, int *brand) { *brand = 1; return SUCCESS; }
int nvmlDeviceGetArchitecture(void *handle, int *architecture) { *architecture = 9; return SUCCESS; }
int nvmlDeviceGetNumGpuCores(void *handle, unsigned *cores) { *cores = 9000; return SUCCESS; }
int nvmlDeviceGetUtilizationRates(void *handle, struct rates *rates) { *rates = (struct rates){90, 40}; return SUCCESS; }
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    *memory = (struct memory){80 * GIB, 20 * GIB, 60 * GIB};
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_2 *memory) {
    *memory = (struct memory_2){memory->version, 80 * GIB, 1 * GIB, 20 * GIB, 59 * GIB};
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct process *rows) {
    unsigned room = *count;
    *count = 2;
    if (room < 2) return INSUFFICIENT_SIZE;
    rows[0] = (struct process){atoi(getenv("HOLDER")), 1 * GIB, ~0U, ~0U};
    rows[1] = (struct process){4711, 58 * GIB, ~0U, ~0U};
    return SUCCESS;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, void *rows) { *count = 0; return SUCCESS; }
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
ln -s libnvidia-ml.so.1 "$folder/libnvidia-ml.so"
export LD_LIBRARY_PATH="$folder"
cd "$folder"
evidence <<'PYTHON'
import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from evidence import Evidence


os.environ |= {"HOLDER": str(os.getpid()), "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
import wandb
from wandb.proto import wandb_internal_pb2

HEAD, BLOCK, FULL, LAST = 7, 32768, 1, 4


def records(content: bytes) -> Iterator[bytes]:
    """Those of a run's file, which is a log in blocks; a record may lie in several pieces."""
    at, record = HEAD, b""
    while at + HEAD <= len(content):
        if BLOCK - at % BLOCK < HEAD:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (FULL, LAST):
            yield record
            record = b""


def logged(content: bytes) -> dict[str, float]:
    """The system metrics of a run, the latest of each."""
    told = [wandb_internal_pb2.Record.FromString(record) for record in records(content)]
    return {item.key: json.loads(item.value_json) for one in told for item in one.stats.item}


settings = wandb.Settings(x_stats_sampling_interval=1.0)
with wandb.init(project="memory", dir=os.getcwd(), settings=settings) as run:
    time.sleep(15)
    path = Path(run.settings.sync_file)
seen = logged(path.read_bytes())
evidence = Evidence()
gib = 1 << 30
evidence.see("GiB of the GPU", seen["gpu.0.memoryAllocatedBytes"] / gib, 59.0)
evidence.see("GiB of the run's process, which holds 1", seen["gpu.process.0.memoryAllocatedBytes"] / gib, 59.0)
percents = [seen[f"{whose}.memoryAllocated"] for whose in ("gpu.0", "gpu.process.0")]
evidence.see("percent of the GPU, of the process", percents, [73.75, 73.75])
evidence.close()
PYTHON
