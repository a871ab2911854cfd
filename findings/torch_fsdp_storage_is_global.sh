#!/bin/sh
# The storage of a parameter that FSDP has sharded tells the bytes of all ranks, and cannot be asked where it lies.
#
# Expected: `nbytes` of a sharded parameter is that of the whole, since it has the shape of the whole, but its storage,
# which is memory, is this rank's share. What happens: `untyped_storage().nbytes()` is the whole, too. `data_ptr()` of
# every such weight is 0, so a count that takes tied weights once, by address, finds one in the whole model; of a
# gradient it is a small number, the place in a buffer that all of them share; of the storage it raises. With torch
# 2.13.0, as one of eight ranks of its "fake" backend.
#
# So: `to_local()` (or the parts by `__tensor_flatten__`) is asked, and what `data_ptr()` says of the outer tensor is no
# address.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
from evidence import Evidence, outcome


import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore

KIB, RANKS, LAYERS = 1024, 8, 3

dist.init_process_group("fake", rank=0, world_size=RANKS, store=FakeStore())
model = nn.Sequential(*(nn.Linear(512, 512, bias=False) for _ in range(LAYERS)))
fully_shard(model, mesh=init_device_mesh("cpu", (RANKS,)))
model(torch.ones(1, 512)).sum().backward()


def held(tensors: list[torch.Tensor]) -> float:
    """KiB of the storages that lie on this rank."""
    storages = [one.to_local().untyped_storage() for one in tensors]
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values()) / KIB


weights = list(model.parameters())
gradients = [weight.grad for weight in weights]
evidence = Evidence()
evidence.see("KiB of three weights, unsharded", sum(weight.nbytes for weight in weights) / KIB, 3072.0)
by_address = {one.data_ptr(): one.untyped_storage().nbytes() / KIB for one in weights}
evidence.see("their storages on one of eight ranks, by address", by_address, {0: 1024.0})
evidence.see("addresses of their gradients", [one.data_ptr() for one in gradients], [0, 128 * KIB, 256 * KIB])
evidence.see("address of such a storage", outcome(lambda: weights[0].untyped_storage().data_ptr()), "RuntimeError")
evidence.see("KiB that this rank holds of the weights", held(weights), 384.0)
evidence.see("of the gradients", held(gradients), 384.0)
evidence.close()
PYTHON
