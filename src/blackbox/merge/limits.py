"""What a process may hold of a GPU: of the limits that anyone knows of, the one that leaves least."""

from collections.abc import Iterable, Iterator
from typing import Literal

from blackbox.model.parts import Allocator, MemoryLimit, bytes_left

_KINDS: dict[str, Literal["pytorch", "jax"]] = {"pytorch": "pytorch", "jax": "jax"}
"""Of the allocators that keep a limit of their own, by their source."""


def tightest(of_cgroup: MemoryLimit | None, allocators: Iterable[Allocator]) -> MemoryLimit | None:
    """Of the process's cgroup and of its allocators, each of which limits what it gives out itself."""
    found = [*_own(allocators), *([] if of_cgroup is None else [of_cgroup])]
    return min(found, key=bytes_left, default=None)


def _own(allocators: Iterable[Allocator]) -> Iterator[MemoryLimit]:
    for allocator in allocators:
        kind = _KINDS.get(allocator.source)
        if kind is not None and allocator.limit_bytes is not None:
            yield MemoryLimit(kind=kind, limit_bytes=allocator.limit_bytes, used_bytes=allocator.reserved_bytes)
