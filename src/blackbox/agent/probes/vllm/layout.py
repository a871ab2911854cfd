"""The addresses of the pages of a worker's KV cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from blackbox.wire.report import KvPiece


class KvCacheMemory(NamedTuple):
    """The KV cache in one worker's memory."""

    ranges: tuple[tuple[int, int], ...]
    """(address, size) of each backing tensor."""
    pages: int
    pieces: tuple[KvPiece, ...]


def kv_cache_memory(config: Any, tensors: list[Any]) -> KvCacheMemory | None:
    """By the strides in vLLM's configuration, or where that has none, by those of the tensors.

    None for a cache without memory of its own. Whether the pages fill the tensors is checked by the daemon.
    """
    described = [tensor for tensor in config.kv_cache_tensors if not getattr(tensor, "host_resident", False)]
    flat = list(_flat(tensors))
    if not described or not flat:
        return None
    if all(hasattr(tensor, "block_stride") for tensor in described):
        return _by_configuration(config.num_blocks, described, flat[0].untyped_storage().data_ptr())
    return _by_tensors(config.num_blocks, flat)


def _by_configuration(pages: int, described: list[Any], base: int) -> KvCacheMemory:
    """All in one allocation. Groups of layers share addresses, since a page belongs to one group at a time."""
    pieces: set[KvPiece] = set()
    for tensor in described:
        if tensor.block_stride > tensor.layer_stride:  # a page has all layers side by side
            pieces.add(KvPiece(base, tensor.block_stride, tensor.block_stride))
            continue
        for layer in range(len(tensor.layers)):
            address = base + tensor.offset + layer * tensor.layer_stride
            pieces.add(KvPiece(address, tensor.block_stride, tensor.block_stride))
    return KvCacheMemory(((base, described[0].size),), pages, tuple(sorted(pieces)))


def _by_tensors(pages: int, tensors: list[Any]) -> KvCacheMemory:
    """Before there were strides: one allocation per tensor, shared by layers of different groups."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    pieces = {piece for tensor in tensors for piece in _pieces(tensor, pages)}
    return KvCacheMemory(tuple(sorted(storages.items())), pages, tuple(sorted(pieces)))


def _pieces(tensor: Any, pages: int) -> Iterator[KvPiece]:
    """Of a tensor with a dimension for the pages, the first or the second (behind keys and values)."""
    shape, strides, item = tuple(tensor.shape), tuple(tensor.stride()), tensor.element_size()
    dimension = next((at for at in (0, 1) if shape[at] >= pages and shape[at] % pages == 0), None)
    if dimension is None:
        return
    size = strides[dimension] * item * (shape[dimension] // pages)  # kernels may see a page as several
    offsets = [0]
    for length, stride in zip(shape, strides):  # noqa: B905 - Python 3.9
        if stride > strides[dimension]:
            offsets = [offset + step * stride * item for offset in offsets for step in range(length)]
    for offset in offsets:
        yield KvPiece(tensor.data_ptr() + offset, size, size)


def _flat(tensors: Any) -> Iterator[Any]:
    for tensor in tensors:
        if isinstance(tensor, (list, tuple)):
            yield from _flat(tensor)
        elif tensor.numel():
            yield tensor
