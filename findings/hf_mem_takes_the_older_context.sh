#!/bin/sh
# hf-mem sizes the KV cache of a GGUF file by the context that the model had before it was extended.
#
# Expected: a file that says `context_length` 131072 needs a cache for 131,072 tokens. What happens: fields are found by
# the end of their names, and `rope.scaling.original_context_length` ends so, too. It stands later in files that have it,
# and wins: 1 GiB is told for a cache that takes 16. The heads' size is width divided by heads, whatever
# `attention.key_length` and `value_length` say; where they say twice as much, as those of Qwen3 0.6B do, half is told.
# With hf-mem 0.5.6.
#
# So: of its estimate for a GGUF file the tokens that it stands for are read first; `max_model_len` is told to it.

. "$(dirname "$0")/evidence.sh"

install hf-mem==0.5.6 gguf==0.19.0
evidence <<'PYTHON'
import tempfile
from pathlib import Path

from evidence import Evidence


import numpy
from gguf import GGUFWriter
from hf_mem.gguf.metadata import parse_gguf_metadata

GIB = 1 << 30


def told(original_context: int | None = None, head: int | None = None, tokens: int | None = None) -> tuple[int, float]:
    """(tokens, GiB of their cache), of a file with 32 layers and 8 heads of keys, for 131072 tokens."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.gguf")
        file = GGUFWriter(path, "llama")
        file.add_context_length(131072)
        file.add_block_count(32)
        file.add_embedding_length(4096)
        file.add_head_count(32)
        file.add_head_count_kv(8)
        if head is not None:
            file.add_key_length(head)
            file.add_value_length(head)
        if original_context is not None:
            file.add_rope_scaling_orig_ctx_len(original_context)
        file.add_tensor("weight", numpy.zeros(32, numpy.float32))
        file.write_header_to_file()
        file.write_kv_data_to_file()
        file.write_tensors_to_file()
        file.close()
        cache = parse_gguf_metadata(path.read_bytes(), experimental=True, max_model_len=tokens).kv_cache
    return cache.max_model_len, cache.cache_size / GIB


evidence = Evidence()
evidence.see("tokens and GiB of their cache", told(), (131072, 16.0))
evidence.see("extended from 8192 tokens", told(original_context=8192), (8192, 1.0))
evidence.see("the same, when the tokens are told to it", told(original_context=8192, tokens=131072), (131072, 16.0))
evidence.see("with heads of 256, that take 32 GiB", told(head=256), (131072, 16.0))
evidence.close()
PYTHON
