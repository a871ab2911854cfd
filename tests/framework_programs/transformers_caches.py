"""Fills caches of Hugging Face's transformers, and prints what of them the agent's probe finds, as JSON."""

import json
import sys

import torch
import transformers
from transformers import LlamaConfig, cache_utils

from blackbox.agent.probes.torch import caches

caches.watch(cache_utils, torch)
config = LlamaConfig(num_hidden_layers=2, hidden_size=64, num_attention_heads=4)
SHAPE = (1, 4, 8, 16)


def dynamic():
    cache = cache_utils.DynamicCache()
    for layer in range(2):
        cache.update(torch.zeros(SHAPE), torch.zeros(SHAPE), layer)
    return cache, [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def linear():
    from transformers import Qwen3NextConfig

    few = Qwen3NextConfig(num_hidden_layers=4, hidden_size=64, num_attention_heads=4, num_key_value_heads=2)
    cache = cache_utils.DynamicCache(config=few)
    layer = next(layer for layer in cache.layers if hasattr(layer, "conv_states"))
    layer.update_conv_state(torch.zeros(1, 8, 4))
    layer.update_recurrent_state(torch.zeros(1, 2, 4, 4))
    states = [layer.conv_states, layer.recurrent_states]
    return cache, [tensor for state in states for tensor in (state.values() if isinstance(state, dict) else [state])]


def quantized():
    cache = cache_utils.QuantizedCache("fp8", config)
    cache.update(torch.randn(SHAPE), torch.randn(SHAPE), 0)
    pairs = [cache.layers[0]._quantized_keys, cache.layers[0]._quantized_values]
    return cache, [tensor for pair in pairs for tensor in pair]


told = {"version": transformers.__version__}
for make in (dynamic, linear, quantized):
    try:
        cache, held = make()
    except (AttributeError, ImportError, ValueError, TypeError) as error:
        told[make.__name__] = f"not in this version: {error}"
        continue
    found = {id(tensor) for tensor in caches.tensors()}
    told[make.__name__] = [sum(id(tensor) in found for tensor in held), len(held)]
    del cache, held
json.dump(told, sys.stdout)
