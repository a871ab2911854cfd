"""Two processes on one tensor, through CUDA's inter-process handles: says who they are and what is shared."""

import json
import sys

import torch
import torch.multiprocessing as multiprocessing

BYTES = 4 << 30


def hold(queue, ready):
    tensor = queue.get()
    tensor[:1].item()
    ready.set()
    queue.get()  # until the end


def main():
    context = multiprocessing.get_context("spawn")
    queue, ready = context.Queue(), context.Event()
    child = context.Process(target=hold, args=(queue, ready), daemon=True)
    child.start()
    tensor = torch.ones(BYTES, dtype=torch.uint8, device="cuda")
    queue.put(tensor)
    print(json.dumps({"bytes": BYTES, "child": child.pid, "shared": ready.wait(30)}), flush=True)
    sys.stdin.read()
    child.kill()


if __name__ == "__main__":
    main()
