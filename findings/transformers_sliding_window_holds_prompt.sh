#!/bin/sh
# A cache with a sliding window of 128 tokens holds the whole prompt until the next token.
#
# Expected: a layer with a sliding window keeps its window; that is what it is for, and its tensors have that shape.
# What happens: after the prompt a layer keeps a view of the last tokens, and the view keeps the tensor of the whole
# prompt alive, in every layer at once. Shapes, `nbytes` and a sum over them tell 1 to 2 % of it. With the next token, each layer
# lets go of it. With transformers 5.24.0, and no model at all.
#
# So: the peak of the first token is that of a cache without windows, and whoever counts a cache asks storages
# (`untyped_storage().nbytes()`) or the allocator's blocks, and not shapes.

. "$(dirname "$0")/evidence.sh"

install torch==2.13.0 transformers==5.24.0
evidence <<'PYTHON'
from evidence import Evidence


import torch
from transformers import MistralConfig
from transformers.cache_utils import DynamicCache

LAYERS, HEADS, WIDTH, WINDOW, PROMPT = 4, 2, 16, 128, 10_000
sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": HEADS}
cache = DynamicCache(config=MistralConfig(num_hidden_layers=LAYERS, sliding_window=WINDOW, **sizes))


def add(tokens: int) -> None:
    for layer in range(LAYERS):
        cache.update(torch.zeros(1, HEADS, tokens, WIDTH), torch.zeros(1, HEADS, tokens, WIDTH), layer)


def tokens(bytes_: int) -> float:
    """Bytes of all layers, as tokens."""
    return bytes_ / (LAYERS * 2 * HEADS * WIDTH * 4)


def shown() -> float:
    return tokens(sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values)))


def held() -> float:
    tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    return tokens(sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}.values()))


evidence = Evidence()
add(PROMPT)
evidence.see("after the prompt of 10,000 tokens: its tensors have", shown(), 127.0)
evidence.see("and hold", held(), 10_000.0)
add(1)
evidence.see("after the next token: its tensors have", shown(), 127.0)
evidence.see("and hold", held(), 128.0)
evidence.close()
PYTHON
