"""A small training run that says what it holds: `training.py [CACHED]`, so many small tensors beside the model.

Sent a number, it trains so many steps and tells how long each took.
"""

import json
import sys
import time

import torch

WIDTH, DEPTH, BATCH = 4096, 6, 2048
WARM_UP_STEPS = 5


class Training:
    def __init__(self, cached):
        self.model = torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))).cuda()
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.batch = torch.randn(BATCH, WIDTH, device="cuda")
        pairs = [(torch.empty(200, device="cuda"), torch.empty(1000, device="cuda")) for _ in range(cached)]
        self.cached = [kept for kept, _ in pairs]
        del pairs  # every other block of the cache is free

    def step(self):
        self.optimizer.zero_grad()
        self.model(self.batch).square().mean().backward()
        self.optimizer.step()

    def seconds(self, steps):
        """How long each of so many steps took."""
        torch.cuda.synchronize()
        taken = []
        for _ in range(steps):
            began = time.perf_counter()
            self.step()
            torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
        return taken

    def facts(self):
        """What PyTorch itself says of its memory."""
        stats = torch.cuda.memory_stats()
        parameters = list(self.model.parameters())
        return {
            "torch": torch.__version__,
            "reserved_bytes": stats["reserved_bytes.all.current"],
            "allocated_bytes": stats["allocated_bytes.all.current"],
            "inactive_split_bytes": stats["inactive_split_bytes.all.current"],
            "blocks": sum(len(segment["blocks"]) for segment in torch.cuda.memory_snapshot(include_traces=False)),
            "weight_bytes": sum(one.nbytes for one in parameters),
            "gradient_bytes": sum(one.grad.nbytes for one in parameters),
            "optimizer_bytes": sum(
                one.nbytes for state in self.optimizer.state.values() for one in state.values() if one.is_cuda
            ),
        }


def main():
    training = Training(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    training.seconds(WARM_UP_STEPS)
    print(json.dumps(training.facts()), flush=True)
    for line in sys.stdin:
        answer = {"seconds": training.seconds(int(line))} if line.strip() else training.facts()
        print(json.dumps(answer), flush=True)


main()
