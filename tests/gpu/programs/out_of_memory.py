"""Leaks until the GPU has no more: `out_of_memory.py caught|uncaught`."""

import sys
import time

import torch

STEP_BYTES = 8 << 30
LAST_BYTES = 200 << 30
leaked = []


def leak():
    leaked.append(torch.empty(STEP_BYTES, dtype=torch.uint8, device="cuda"))


def ask_too_much():
    began = time.perf_counter()
    try:
        torch.empty(LAST_BYTES, dtype=torch.uint8, device="cuda")
    finally:
        print(f'{{"seconds": {time.perf_counter() - began}}}', flush=True)


leak()
leak()
time.sleep(2)  # long enough to be seen at the usual rate
if sys.argv[1] == "caught":
    try:
        ask_too_much()
    except torch.cuda.OutOfMemoryError as error:
        print(str(error)[:19], flush=True)
else:
    ask_too_much()
