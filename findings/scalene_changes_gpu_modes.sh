#!/bin/sh
# Profiling a program with Scalene as root changes the machine's GPUs, and leaves them so.
#
# Expected: a profiler looks; for its "per-process GPU accounting" there is a command of its own to be run once, which
# its hint names. What happens: where it may, as root (in most containers), it switches persistence mode and accounting
# mode on, of every GPU of the machine, each time the GPU is looked for, and never back. Persistence keeps the driver
# loaded and the GPU awake while nobody uses it; accounting lasts for all programs and users. Who may not is told to run
# that command. With scalene 2.4.0.
#
# The driver here is a stand-in of a few lines of C. It needs `cc`.
#
# So: a GPU that no longer falls asleep, or a process list that costs more than it did, may be some profiler's doing.

. "$(dirname "$0")/evidence.sh"

install scalene==2.4.0 nvidia-ml-py==13.615.71
cat >"$folder/driver.c" <<'C'
#include <stdio.h>
struct rates { unsigned gpu, memory; };
static char gpus[2];
static unsigned accounting[2];
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = gpus + index; return 0; }
int nvmlDeviceGetUtilizationRates(void *handle, struct rates *rates) { *rates = (struct rates){0, 0}; return 0; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, void *rows) { return *count = 0; }
int nvmlDeviceGetAccountingStats(void *handle, unsigned pid, void *stats) { return 6; }
int nvmlDeviceGetAccountingMode(void *handle, unsigned *mode) { *mode = accounting[(char *)handle - gpus]; return 0; }
int nvmlDeviceSetPersistenceMode(void *handle, unsigned mode) {
    fprintf(stderr, "persistence of GPU %d: %u\n", (int)((char *)handle - gpus), mode);
    return 0;
}
int nvmlDeviceSetAccountingMode(void *handle, unsigned mode) {
    fprintf(stderr, "accounting of GPU %d: %u\n", (int)((char *)handle - gpus), mode);
    accounting[(char *)handle - gpus] = mode;
    return 0;
}
C
cc -shared -fPIC -o "$folder/libnvidia-ml.so.1" "$folder/driver.c"
export LD_LIBRARY_PATH="$folder"
evidence <<'PYTHON'
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from evidence import Evidence

with tempfile.TemporaryDirectory() as folder:
    program = Path(folder, "program.py")
    program.write_text("sum(range(10_000_000))\n")
    profile = [sys.executable, "-m", "scalene", "run", "--gpu", "--outfile", f"{folder}/profile.json", str(program)]
    told = subprocess.run(profile, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True).stderr
changes = [line for line in told.splitlines() if line.startswith(("persistence", "accounting"))]

evidence = Evidence()
evidence.see("switched on", sorted({line for line in changes if line.endswith(": 1")}), ["accounting of GPU 0: 1", "accounting of GPU 1: 1", "persistence of GPU 0: 1", "persistence of GPU 1: 1"])
evidence.see("switched off again", [line for line in changes if line.endswith(": 0")], [])
evidence.close()
PYTHON
