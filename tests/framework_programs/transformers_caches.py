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


def static():
    cache = cache_utils.StaticCache(config=config, max_cache_len=32)
    for layer in range(2):
        cache.update(torch.zeros(SHAPE), torch.zeros(SHAPE), layer)
    return cache, [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def encoder_decoder():
    cache = cache_utils.EncoderDecoderCache(cache_utils.DynamicCache(), cache_utils.DynamicCache())
    parts = [cache.self_attention_cache, cache.cross_attention_cache]
    for part in parts:
        part.update(torch.zeros(SHAPE), torch.zeros(SHAPE), 0)
    return cache, [tensor for part in parts for tensor in (part.layers[0].keys, part.layers[0].values)]


def of_one_model():
    from transformers.models.xlstm import modeling_xlstm
    from transformers.models.xlstm.configuration_xlstm import xLSTMConfig

    caches.watch(modeling_xlstm, torch)
    cache = modeling_xlstm.xLSTMCache(xLSTMConfig(hidden_size=64, num_heads=4, num_hidden_layers=2), 1)
    return cache, [tensor for states in cache.rnn_state.values() for tensor in states]


told = {"version": transformers.__version__}
for make in (dynamic, linear, quantized, static, encoder_decoder, of_one_model):
    try:
        cache, held = make()
    except (AttributeError, ImportError, ValueError, TypeError) as error:
        told[make.__name__] = f"not in this version: {error}"
        continue
    found = {id(tensor) for tensor in caches.tensors()}
    told[make.__name__] = [sum(id(tensor) in found for tensor in held), len(held)]
    del cache, held
json.dump(told, sys.stdout)
