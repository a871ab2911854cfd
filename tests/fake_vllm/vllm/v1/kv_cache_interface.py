"""How the KV cache lies in memory."""

from __future__ import annotations

from typing import NamedTuple


class KVCacheTensor(NamedTuple):
    size: int
    layers: list[str]
    layer_stride: int
    block_stride: int
    offset: int = 0
    host_resident: bool = False


class OldKVCacheTensor(NamedTuple):
    """Before there were strides."""

    size: int
    shared_by: list[str]


class KVCacheConfig(NamedTuple):
    num_blocks: int
    kv_cache_tensors: list[KVCacheTensor] | list[OldKVCacheTensor]
