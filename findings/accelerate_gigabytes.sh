#!/bin/sh
# In Accelerate a "GB" that is printed is larger than a "GB" that is read.
#
# Expected: what `accelerate estimate-memory` tells in GB can be given back as `max_memory={0: "...GB"}`. What happens: sizes
# are printed in steps of 1024 (`convert_bytes`), and read in steps of 1000 unless they say GiB. So a model does not fit
# into the very size that was told for it, and a part of it goes to the CPU without an error. The larger
# the unit, the wider: 2 % of a KB, 7 % of a GB. With accelerate 1.15.0 and torch 2.13.0.
#
# So: give `max_memory` as a number of bytes, or in GiB.

. "$(dirname "$0")/evidence.sh"

install accelerate==1.15.0 torch==2.13.0
evidence <<'PYTHON'
from evidence import Evidence


import torch
from accelerate import infer_auto_device_map, init_empty_weights
from accelerate.utils import calculate_maximum_sizes, convert_bytes, convert_file_size_to_int
from torch import nn

LAYERS = 3
with init_empty_weights():
    kinds = {"bias": False, "dtype": torch.bfloat16}
    model = nn.Sequential(*(nn.Linear(32_768, 16_384, **kinds) for _ in range(LAYERS)))
total, _ = calculate_maximum_sizes(model)


def places(room: str) -> list[object]:
    """Where the layers go, with such room on GPU 0 and enough on the CPU."""
    found = infer_auto_device_map(model, max_memory={0: room, "cpu": 4 * total})
    return [found.get(str(layer), found.get("")) for layer in range(LAYERS)]


evidence = Evidence()
evidence.see("the bytes of all layers, and as they are told", (total, convert_bytes(total)), (3 * 1024**3, "3.0 GB"))
evidence.see("3GB, as it is read", convert_file_size_to_int("3GB"), 3 * 1000**3)
evidence.see("with room of 3GB the layers go to", places("3GB"), [0, "cpu", "cpu"])
evidence.see("with room of 4GB", places("4GB"), [0, 0, 0])
evidence.see("with room of 3GiB", places("3GiB"), [0, 0, 0])
evidence.close()
PYTHON
