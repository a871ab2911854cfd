#!/bin/sh
# gpu-tracker counts a GPU's MiB as MB; and where one figure is "[N/A]", the time and the CPU's load are 0.
#
# Expected: bytes are bytes, and a figure that the driver does not tell is missing alone. What happens: nvidia-smi's MiB
# are multiplied by 10^6, so a program that holds 16 GiB is told with 16.384 GB (it is 17.18), and with 16,384,000,000
# bytes; the machine's memory beside it is right. Where the utilization is "[N/A]" (a GPU in MIG mode) or a size is, each
# round of the tracker ends there, in a line on the standard output: no load, no time, and no pause until the next round.
# With gpu-tracker 5.0.1.
#
# A stand-in for `nvidia-smi` is put first in the path.
#
# So: its figures of the GPU are 4.6 % too small beside anybody's bytes; a time of 0 tells that it measured nothing.

. "$(dirname "$0")/evidence.sh"

install gpu-tracker==5.0.1
cat >"$folder/nvidia-smi" <<'TEXT'
#!/bin/sh
case $1 in
--query-gpu=uuid,memory.total)
    echo "uuid, memory.total [MiB]"
    echo "GPU-0, 24576 MiB"
    ;;
--query-gpu=*)
    echo "uuid, memory.used [MiB], utilization.gpu [%]"
    echo "GPU-0, 20480 MiB, $BUSY"
    ;;
--query-compute-apps=*)
    echo "pid, used_gpu_memory [MiB]"
    echo "$HOLDER, 16384 MiB"
    ;;
esac
TEXT
chmod +x "$folder/nvidia-smi"
PATH="$folder:$PATH"
export PATH
cd "$folder"
evidence <<'PYTHON'
import contextlib
import os
import time

from evidence import Evidence


from gpu_tracker import Tracker

os.environ["HOLDER"] = str(os.getpid())


def tracked(unit: str, busy: str) -> object:
    os.environ["BUSY"] = busy
    output = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # the tracker's process writes a line for each of its rounds there
    with contextlib.suppress(SystemExit), Tracker(sleep_time=0.2, gpu_ram_unit=unit, disable_logs=True) as tracker:
        time.sleep(6)
    os.dup2(output, 1)
    return tracker.resource_usage


evidence = Evidence()
usage = tracked("bytes", "50 %")
evidence.see("bytes of a program that holds 16 GiB", usage.max_gpu_ram.main, 16_384_000_000.0)
evidence.see("bytes of the GPU of 24 GiB", usage.max_gpu_ram.system_capacity, 24_576_000_000.0)
evidence.see("a time was taken", usage.compute_time.time > 0, True)
usage = tracked("bytes", "[N/A]")
evidence.see("bytes of the program, where the utilization is not told", usage.max_gpu_ram.main, 16_384_000_000.0)
evidence.see("time, the CPU's load", (usage.compute_time.time, usage.cpu_utilization.main.max_sum_percent), (0.0, 0.0))
evidence.close()
PYTHON
