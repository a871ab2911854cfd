#!/bin/sh
# DeepSpeed's estimate of memory for a model on the meta device is that of its last parameter.
#
# Expected: `estimate_zero2_model_states_mem_needs_all_live` and its like tell the same of a model on the meta device as
# of the model itself: it has the same parameters, and an estimate before loading is what the meta device is for. What
# happens: tied weights are to be counted once, by address, and on the meta device every address is 0: of all parameters
# the last is left. A model that needs gigabytes is told to need next to nothing, without a word. With deepspeed 0.19.8
# and torch 2.13.0.
#
# So: for a model that is not loaded, the number of its parameters is counted apart, and given to the `_cold` variants.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 numpy==2.4.6 setuptools==84.2.1 wheel==0.48.0 ninja==1.13.2
DS_BUILD_OPS=0
export DS_BUILD_OPS
install --no-build-isolation deepspeed==0.19.8
evidence <<'PYTHON'
import contextlib
import io
import re

from evidence import Evidence


import torch
from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs_all_live as estimate
from torch import nn


def model(device: str) -> nn.Module:
    layers = [nn.Linear(4096, 4096, bias=False, device=device) for _ in range(4)]
    return nn.Sequential(*layers, nn.LayerNorm(4096, bias=False, device=device))


def told(device: str) -> str:
    """Its words about the number of parameters, for one GPU."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        estimate(model(device), num_gpus_per_node=1, num_nodes=1)
    return re.search(r"SW: Model with (\S+) total params", printed.getvalue())[1]


evidence = Evidence()
evidence.see("parameters of the model", sum(one.numel() for one in model("meta").parameters()), 67_112_960)
evidence.see("on the CPU, by DeepSpeed", told("cpu"), "67M")
evidence.see("on the meta device", told("meta"), "0M")
evidence.close()
PYTHON
