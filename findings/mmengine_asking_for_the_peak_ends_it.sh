#!/bin/sh
# MMEngine's log asks PyTorch for the peak of memory and starts it anew, on another GPU than it asked for.
#
# Expected: `get_max_cuda_memory` returns "the peak allocated memory since the beginning of this program", as it says, and
# looks. What happens: each call resets the peak of the current GPU. The `memory` of a log is the peak since the line
# before, `torch.cuda.max_memory_allocated()` of everybody else in the process as well, and a peak between two lines that
# somebody else asked about is gone. Asked for a GPU that is not the current one, it leaves that one's peak as it was, and
# ends the current one's. With mmengine 0.10.7.
#
# PyTorch's two counters here are stand-ins, so that it runs without a GPU.
#
# So: the peak of a program that uses MMEngine (MMDetection, MMSegmentation) is that since its last line in the log.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 numpy==2.3.5 pyyaml==6.0.3 rich==14.2.0
install --no-deps mmengine==0.10.7 addict==2.4.0 termcolor==3.2.0 yapf==0.43.0 platformdirs==4.5.0 packaging==25.0
evidence <<'PYTHON'
from evidence import Evidence


import torch
from mmengine.device import get_max_cuda_memory

MIB = 1 << 20
CURRENT, OTHER = 0, 1
living = {CURRENT: 0, OTHER: 0}
peak = {CURRENT: 0, OTHER: 0}


def allocate(gpu: int, mebibytes: int) -> None:
    living[gpu] += mebibytes * MIB
    peak[gpu] = max(peak[gpu], living[gpu])


def asked(device: torch.device | None) -> int:
    """The processor stands for the GPU that is not the current one."""
    return CURRENT if device is None else OTHER


def reset(device: torch.device | None = None) -> None:
    peak[asked(device)] = living[asked(device)]


torch.cuda.max_memory_allocated = lambda device=None: peak[asked(device)]
torch.cuda.reset_peak_memory_stats = reset
evidence = Evidence()
for gpu in (CURRENT, OTHER):
    allocate(gpu, 4096)
    allocate(gpu, -3072)
evidence.see("MiB at most, of 4096 and then 1024", get_max_cuda_memory(), 4096)
evidence.see("asked again", get_max_cuda_memory(), 1024)
evidence.see("PyTorch's own peak", torch.cuda.max_memory_allocated() // MIB, 1024)
allocate(CURRENT, 2048)
allocate(CURRENT, -2048)
other = [get_max_cuda_memory(torch.device("cpu")) for _ in range(2)]
evidence.see("of the other GPU, asked twice", other, [4096, 4096])
evidence.see("of the current one, which took 3072 in between", get_max_cuda_memory(), 1024)
evidence.close()
PYTHON
