#!/bin/sh
# The GPU that Numba simulates has memory without end, all of it free.
#
# Expected: a simulator without a GPU says that there is none, or has the memory of the machine. What happens: with
# `NUMBA_ENABLE_CUDASIM=1` CUDA is available, there is one GPU, and of its infinite memory an infinite part is free,
# before an array of 8 MB and after. The figure is a float that is no number of bytes, and Python writes it as
# `Infinity`, which is no JSON. With numba 0.68.1.
#
# So: a program that divides the free bytes among its work finds room for all; and whoever reads sizes from others
# checks that they are finite before they are added up, drawn or sent.

. "$(dirname "$0")/evidence.sh"

install numba==0.68.1 numpy==2.4.6
NUMBA_ENABLE_CUDASIM=1
export NUMBA_ENABLE_CUDASIM
evidence <<'PYTHON'
from evidence import Evidence, outcome


import json

import numpy as np
from numba import cuda


def free() -> float:
    return cuda.current_context().get_memory_info().free


evidence = Evidence()
evidence.see("CUDA is available", cuda.is_available(), True)
evidence.see("GPUs", len(cuda.gpus), 1)
evidence.see("memory", cuda.current_context().get_memory_info().total, float("inf"))
evidence.see("free", free(), float("inf"))
array = cuda.to_device(np.zeros(1_000_000))
evidence.see("bytes of an array there", array.nbytes, 8_000_000)
evidence.see("free beside it", free(), float("inf"))
evidence.see("as JSON", json.dumps({"free": free()}), '{"free": Infinity}')
evidence.see("as a number of bytes", outcome(lambda: int(free())), "OverflowError")
evidence.close()
PYTHON
