#!/bin/sh
# A GPU whose utilization the driver does not tell is in no list of nvsmi; what else it does not tell makes no JSON.
#
# Expected: `nvsmi ls` lists the GPUs, as it says, and one of which a figure is unknown with that figure empty. What
# happens: the list is filtered by utilization and memory up to 100 percent, and unknown is NaN, which is not below
# anything. So a GPU in MIG mode, whose utilization is "[N/A]", does not exist, nor does one that shares the system's
# memory. A process whose memory is not told is listed, with `--json` as `NaN`, which JSON has not. And
# `get_available_gpus()` without limits takes GPUs of which 1 percent is used, not all. With nvsmi 0.4.2.
#
# A stand-in for `nvidia-smi` is put first in the path.
#
# So: GPUs are counted by `nvidia-smi -L`; its "[N/A]" is one's own to read.

. "$(dirname "$0")/evidence.sh"

install nvsmi==0.4.2
cat >"$folder/nvidia-smi" <<'TEXT'
#!/bin/sh
case $1 in
--query-gpu=*)
    echo "0, GPU-0, 97, 24576, 20480, 4096, 610.1, NVIDIA A10, [N/A], Disabled, Disabled, 40"
    echo "1, GPU-1, [N/A], 81920, 1024, 80896, 610.1, NVIDIA A100 80GB PCIe, [N/A], Disabled, Disabled, 40"
    echo "2, GPU-2, 5, [N/A], [N/A], [N/A], 610.1, NVIDIA GB10, [N/A], Disabled, Disabled, 40"
    ;;
*) echo "4711, python, GPU-0, NVIDIA A10, [N/A]" ;;
esac
TEXT
chmod +x "$folder/nvidia-smi"
PATH="$folder:$PATH"
export PATH
evidence <<'PYTHON'
import json
import subprocess
import sys

from evidence import Evidence, outcome


import nvsmi


def lines(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "nvsmi", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def strictly(text: str) -> object:
    return json.loads(text, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))


evidence = Evidence()
evidence.see("GPUs that there are", [gpu.id for gpu in nvsmi.get_gpus()], ["0", "1", "2"])
evidence.see("GPUs that `nvsmi ls` lists", [json.loads(line)["id"] for line in lines("ls", "--json")], ["0"])
evidence.see("available, without any limit", [gpu.id for gpu in nvsmi.get_available_gpus()], [])
(process,) = lines("ps", "--json")
evidence.see("memory of the process", process.partition('"used_memory": ')[2], "NaN}")
evidence.see("read as JSON", outcome(lambda: strictly(process)), "ValueError")
evidence.close()
PYTHON
