#!/bin/sh
# Of PyTorch's variables for its allocator, the old, deprecated name wins over the new one, silently.
#
# Expected: `PYTORCH_ALLOC_CONF` took the place of `PYTORCH_CUDA_ALLOC_CONF`, so where both are set the new one counts,
# or they are put together; what a setting is reported as is what was accepted. What happens: the old name is looked up
# first, then `PYTORCH_HIP_ALLOC_CONF`, and the new one only if neither is set; the others are not even parsed, so a
# misspelt value there raises nothing. And a setting at run time that is refused with an error is told as the one in
# force from then on. With torch 2.13.0, any build.
#
# So: who advises a setting looks whether another of the three is set (an image often sets the old one), and does not
# take `_accelerator_getAllocatorSettings()` for what holds.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0
evidence <<'PYTHON'
import os
import subprocess
import sys

from evidence import Evidence, outcome


import torch

NEW, CUDA, HIP = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"
ASK = """
import torch
try:
    print(torch._C._accelerator_getAllocatorSettings())
except ValueError:
    print("ValueError")
"""


def settings(**variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in (NEW, CUDA, HIP)} | variables
    return subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True).stdout.strip()


GOOD, OTHER, BAD = "expandable_segments:True", "max_split_size_mb:64", "expandable_segments:true"
evidence = Evidence()
evidence.see("the new name alone", settings(**{NEW: GOOD}), GOOD)
evidence.see("the new name, and the old", settings(**{NEW: GOOD, CUDA: OTHER}), OTHER)
evidence.see("the new name, and that of HIP", settings(**{NEW: GOOD, HIP: OTHER}), OTHER)
evidence.see("a bad value in the new name", settings(**{NEW: BAD}), "ValueError")
evidence.see("a bad value in the new name, a good one in the old", settings(**{NEW: BAD, CUDA: OTHER}), OTHER)
change, tell = torch._C._accelerator_setAllocatorSettings, torch._C._accelerator_getAllocatorSettings
change(OTHER)
evidence.see("a split size that is too small", outcome(lambda: change("max_split_size_mb:5")), "ValueError")
evidence.see("the settings that are told then", tell(), "max_split_size_mb:5")
evidence.close()
PYTHON
