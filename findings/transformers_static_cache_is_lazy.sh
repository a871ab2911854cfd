#!/bin/sh
# A static cache takes nothing when it is made, and its memory layer by layer with the first token.
#
# Expected: a `StaticCache` is what allocates everything beforehand; that is what it is for. What happens: one for
# 10,000 tokens holds a few counters once it is made, and each layer takes its memory, of the whole length at once, when its
# first token comes. It takes that in the size of the batch which comes first, and a later one of another size fails.
# `reset` gives nothing back. With transformers 5.24.0, and no model at all.
#
# So: what is free after loading is not what a server may promise: a cache that is "there" shows in no figure before the
# first request, and it is the first request that runs out of memory.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 transformers==5.24.0
evidence <<'PYTHON'
from evidence import Evidence, outcome


import torch
from transformers import LlamaConfig
from transformers.cache_utils import StaticCache

LAYERS, HEADS, WIDTH, LENGTH = 2, 4, 16, 10_000
OF_A_LAYER = 2 * HEADS * LENGTH * WIDTH * 4
config = LlamaConfig(num_hidden_layers=LAYERS, hidden_size=HEADS * WIDTH, num_attention_heads=HEADS)
cache = StaticCache(config=config, max_cache_len=LENGTH)


def add(layer: int, batch: int = 1) -> None:
    cache.update(torch.zeros(batch, HEADS, 1, WIDTH), torch.zeros(batch, HEADS, 1, WIDTH), layer)


def held() -> int:
    """Bytes of all tensors of all layers, but for their counters of tokens."""
    tensors = [value for layer in cache.layers for value in vars(layer).values() if isinstance(value, torch.Tensor)]
    return sum(one.untyped_storage().nbytes() for one in tensors if one.ndim > 1)


evidence = Evidence()
evidence.see("made for 10,000 tokens: bytes", held(), 0)
add(0)
evidence.see("a token in the first layer", held(), OF_A_LAYER)
add(1)
evidence.see("and in the second", held(), 2 * OF_A_LAYER)
cache.reset()
evidence.see("after a reset", held(), 2 * OF_A_LAYER)
evidence.see("a batch of two after one of one", outcome(lambda: add(0, batch=2)), "RuntimeError")
evidence.close()
PYTHON
