#!/bin/sh
# Without CUDA, PyTorch's CUDA memory is 0, and so is XPU's; only that of `torch.accelerator` cannot be told.
#
# Expected: a PyTorch that was built without CUDA has no CUDA memory to tell, and raises, as `torch.cuda.mem_get_info`
# and `torch.accelerator.memory_allocated` do. What happens: `torch.cuda.memory_allocated`, `memory_reserved` and both
# peaks are 0, `memory_stats` is empty, and so for `torch.xpu`: what is not there is as good as what holds nothing. Their
# kin raise what comes: `memory_summary` a KeyError, `reset_peak_memory_stats` an AttributeError. With torch
# 2.13.0, its build for CPUs.
#
# So: a chart of 0 is asked whether there was a GPU: `torch.cuda.is_available()` goes with the figure.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import warnings

from evidence import Evidence, outcome


import torch

warnings.simplefilter("ignore")
FIGURES = ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")


def told(module: object) -> list[object]:
    return [outcome(getattr(module, name)) for name in FIGURES]


evidence = Evidence()
if torch.cuda.is_available():
    print("a GPU is here: nothing to see")
else:
    evidence.see("torch.cuda", told(torch.cuda), [0, 0, 0, 0])
    evidence.see("torch.xpu", told(torch.xpu), [0, 0, 0, 0])
    evidence.see("statistics, and the summary of them", (dict(torch.cuda.memory_stats()), outcome(torch.cuda.memory_summary)), ({}, "KeyError"))
if torch.version.cuda is None:
    evidence.see("torch.accelerator", told(torch.accelerator), ["RuntimeError"] * 4)
    others = [torch.cuda.mem_get_info, torch.cuda.reset_peak_memory_stats]
    evidence.see("free memory, reset", [outcome(one) for one in others], ["AssertionError", "AttributeError"])
evidence.close()
PYTHON
