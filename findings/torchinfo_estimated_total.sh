#!/bin/sh
# torchinfo's "Estimated Total Size" counts tied weights twice, buffers not at all, and outputs of some layers alone.
#
# Expected: "Params size" is that of the parameters, which a module has once however often it is used; buffers, such as a
# cache, are part of the total; "Forward/backward pass size" is that of what layers put out. What happens: each layer is
# asked for its own, so an embedding tied to the output layer counts twice; buffers are left out; and layers without
# parameters (activation functions, pooling, a softmax) count as nothing, while the others count twice, with or without a
# backward pass. With torchinfo 1.8.0 and torch 2.13.0.
#
# So: weights are added up by storage, and what a run takes is measured, not estimated from this.

. "$(dirname "$0")/evidence.sh"

install torchinfo==1.8.0 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
from evidence import Evidence


import torch
import torchinfo
from torch import nn

MB = 1_000_000


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 1000)
        self.output = nn.Linear(1000, 1000, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.output(self.embedding(tokens))


class Buffered(nn.Linear):
    def __init__(self) -> None:
        super().__init__(1000, 1000, bias=False)
        self.register_buffer("cache", torch.zeros(1000, 3000))


def held(model: nn.Module) -> float:
    tensors = [*model.parameters(), *model.buffers()]
    return sum({one.data_ptr(): one.nbytes for one in tensors}.values()) / MB


def weights(model: nn.Module, given: torch.Tensor) -> float:
    return torchinfo.summary(model, input_data=given, verbose=0).total_param_bytes / MB


def outputs(*layers: nn.Module) -> float:
    model = nn.Sequential(*layers).eval()
    return torchinfo.summary(model, input_data=torch.zeros(1, 1000), verbose=0, mode="eval").total_output_bytes / MB


evidence = Evidence()
tied, tokens = Tied(), torch.zeros(1, 1, dtype=torch.long)
evidence.see("a tied weight: MB held, MB told", (held(tied), weights(tied, tokens)), (4.0, 8.0))
buffered, row = Buffered(), torch.zeros(1, 1000)
evidence.see("with a buffer of 12 MB: MB held, MB told", (held(buffered), weights(buffered, row)), (16.0, 4.0))
wide = nn.Linear(1000, 10_000, bias=False)
evidence.see("10,000 outputs of 4 bytes, to be used without a backward pass", outputs(wide), 0.08)
evidence.see("four times as many", outputs(wide, nn.GELU(), nn.Softmax(-1), nn.Identity()), 0.08)
evidence.close()
PYTHON
