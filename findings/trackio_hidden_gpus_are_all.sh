#!/bin/sh
# A program that hides all GPUs from itself is told the memory of all of them by Trackio; so is one that names its GPU.
#
# Expected: figures are of "GPUs visible to this process (respects CUDA_VISIBLE_DEVICES)", as it is documented. What
# happens: numbers are respected. But with an empty variable, which means no GPU, and with a UUID, which is how MIG
# slices and many schedulers name them, every GPU of the machine is told, and `total_allocated_memory` is the sum over
# them. "Allocated" is the whole GPU in use, other programs' too. `gpu/0` is the first one visible: GPU 1 with
# `CUDA_VISIBLE_DEVICES=1`. With trackio 0.43.0.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: figures of two runs belong to the same GPU only if both were started with the same numbers.

. "$(dirname "$0")/evidence.sh"

install trackio==0.43.0 nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
typedef unsigned long long u64;
struct memory { u64 total, free, used; };
static char gpus[2];
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = gpus + index; return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    u64 used = handle == gpus ? 20 : 2;
    *memory = (struct memory){24ULL << 30, (24 - used) << 30, used << 30};
    return 0;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
import os

from evidence import Evidence


from trackio.gpu import collect_gpu_metrics


def told(visible: str | None) -> dict[str, float]:
    """GiB, by what the program is to see."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    return {key: value for key, value in collect_gpu_metrics().items() if key.endswith("allocated_memory")}


BOTH = {"gpu/0/allocated_memory": 20.0, "gpu/1/allocated_memory": 2.0, "gpu/total_allocated_memory": 22.0}
SECOND = {"gpu/0/allocated_memory": 2.0, "gpu/total_allocated_memory": 2.0}

evidence = Evidence()
evidence.see("not limited", told(None), BOTH)
evidence.see("the second GPU, by its number", told("1"), SECOND)
evidence.see("by its UUID", told("GPU-5e0f1a2b-0000-4000-8000-000000000001"), BOTH)
evidence.see("no GPU", told(""), BOTH)
evidence.close()
PYTHON
