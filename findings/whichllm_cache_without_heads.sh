#!/bin/sh
# whichllm sizes a model's KV cache by the number of its parameters: one of the same size may need ten times as much.
#
# Expected: the cache is that of the model's layers and heads of keys, whose numbers stand in its `config.json`. What
# happens: no field for them is there; every billion parameters takes 3.5 MiB for 1024 tokens. Qwen2.5 7B needs twice what
# is told, Llama 3.1 8B 4.6 times as much, Llama 2 7B, where each head has keys of its own, 22 times: 2 GiB for 4096
# tokens, of which 0.09 are told. With all that is added for the engine it is told less than its weights and its cache
# take. With whichllm 0.5.21.
#
# So: a model that fits by its word may not fit; the cache is calculated from layers, heads and their size.

. "$(dirname "$0")/evidence.sh"

install whichllm==0.5.21
evidence <<'PYTHON'
from evidence import Evidence


from whichllm.engine.vram import estimate_kv_cache, estimate_vram
from whichllm.models.types import ModelInfo

GIB = 1 << 30
HEAD, HALF = 128, 2


def model(parameters: int) -> ModelInfo:
    return ModelInfo(id="a/b", family_id="b", name="b", parameter_count=parameters, architecture="llama")


def needed(layers: int, heads_of_keys: int, tokens: int) -> float:
    """GiB of keys and values in 16 bits."""
    return 2 * layers * heads_of_keys * HEAD * HALF * tokens / GIB


def told(parameters: int, tokens: int) -> float:
    return round(estimate_kv_cache(model(parameters), tokens) / GIB, 2)


evidence = Evidence()
llama_2, llama_3, qwen = 6_738_415_616, 8_030_261_248, 7_615_616_512
evidence.see("GiB told, and needed, by Qwen2.5 7B for 32768 tokens", (told(qwen, 32768), needed(28, 4, 32768)), (0.83, 1.75))
evidence.see("by Llama 3.1 8B for 131072", (told(llama_3, 131072), needed(32, 8, 131072)), (3.51, 16.0))
evidence.see("by Llama 2 7B for 4096", (told(llama_2, 4096), needed(32, 32, 4096)), (0.09, 2.0))
in_all = estimate_vram(model(llama_2), None, 4096) / GIB
alone = llama_2 * HALF / GIB + needed(32, 32, 4096)
evidence.see("what is told in all is less than its weights and its cache alone", in_all < alone, True)
evidence.close()
PYTHON
