#!/bin/sh
# Two numbers out of a file of safetensors, saved with PyTorch, are as large as the tensor they were cut from.
#
# Expected: `get_slice(...)[0:2]` reads two numbers, which is what it is for; so what it returns holds two numbers. What
# happens: it is a view of the whole tensor, which is mapped from the file. That takes no memory until it is touched;
# but the storage tells all of it, and whoever saves the slice (`torch.save` writes storages), or sends it to another
# process reads and writes the whole tensor. With NumPy as the framework the same slice is an array of its own. With
# safetensors 0.8.0 and torch 2.13.0.
#
# So: slices that are kept are cloned; and a sum over storages counts what is mapped, which is not memory that was
# taken.

. "$(dirname "$0")/evidence.sh"

install safetensors==0.8.0 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import io
import os
import tempfile
from pathlib import Path

from evidence import Evidence


import torch
from safetensors import safe_open
from safetensors.torch import save_file

MIB = 1 << 20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def saved(tensor: torch.Tensor) -> int:
    """MiB, rounded."""
    file = io.BytesIO()
    torch.save(tensor, file)
    return round(len(file.getvalue()) / MIB)


evidence = Evidence()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "model.safetensors")
    save_file({"weight": torch.zeros(25 * MIB)}, path)
    before = resident()
    with safe_open(path, "pt") as file:
        part = file.get_slice("weight")[0:2]
    evidence.see("bytes of the slice", part.nbytes, 8)
    evidence.see("MiB of its storage", part.untyped_storage().nbytes() / MIB, 100.0)
    evidence.see("taken by now, less than 50 MiB", resident() - before < 50 * MIB, True)
    evidence.see("MiB when saved, and of a clone", (saved(part), saved(part.clone())), (100, 0))
    with safe_open(path, "np") as file:
        array = file.get_slice("weight")[0:2]
    evidence.see("as an array of NumPy: bytes, and of whose memory", (array.nbytes, getattr(array.base, "nbytes", 8)), (8, 8))
evidence.close()
PYTHON
