"""The addresses of gradients, as of the last step of their optimizer.

Gradients belong to autograd, whose threads replace them without holding the interpreter's lock: reading `.grad` on the
agent's thread crashes the program (seen on PyTorch 2.13, within seconds). So they are read where the optimizer itself
has just read them, on the program's thread after a step, and at most once per `LOOK_SECONDS_MIN`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from blackbox.agent.probes.torch.composite import parts

LOOK_SECONDS_MIN = 1.0
"""Between two reads of one optimizer's gradients."""
LOOK_SHARE = 0.002
"""Of the program's time that reading may take."""

StorageSpan = tuple[int, int]
"""(address, bytes) of a storage."""


class Gradients:
    """The gradients of all optimizers."""

    def __init__(self, add_cost: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`add_cost` is called with the seconds that reading took."""
        self._add_cost = add_cost
        self._clock = clock
        self._places: dict[int, tuple[StorageSpan, ...]] = {}
        """By the identity of the optimizer; emptied by `places`."""
        self._due_at: dict[int, float] = {}

    def stepped(self, optimizer: Any) -> None:
        """Reads the gradients, if that is due. Called by the optimizer, on the thread that stepped."""
        key, began = id(optimizer), self._clock()
        if began < self._due_at.get(key, began):
            return
        found = dict.fromkeys(_storages(optimizer))
        self._places[key] = tuple(found)
        took = self._clock() - began
        self._due_at[key] = began + max(LOOK_SECONDS_MIN, took / LOOK_SHARE)
        self._add_cost(took)

    def places(self, optimizers: Iterable[Any]) -> tuple[StorageSpan, ...]:
        """The gradients of these optimizers; the others are forgotten."""
        living = {id(optimizer) for optimizer in optimizers}
        for key in [key for key in list(self._places) if key not in living]:
            self._places.pop(key, None)
            self._due_at.pop(key, None)
        return tuple(place for places in list(self._places.values()) for place in places)


def _storages(optimizer: Any) -> Iterator[StorageSpan]:
    for group in getattr(optimizer, "param_groups", ()):
        for parameter in group["params"]:
            gradient = parameter.grad
            for part in parts(gradient) if gradient is not None else ():
                for held in _dense(part):
                    if held.is_cuda and hasattr(held, "untyped_storage"):
                        storage = held.untyped_storage()
                        yield storage.data_ptr(), storage.nbytes()


def _dense(tensor: Any) -> Iterator[Any]:
    """The tensors with a storage: of a sparse gradient (an embedding's) its values and their places."""
    if getattr(tensor, "is_sparse", False):
        yield tensor._values()
        yield tensor._indices()
    else:
        yield tensor
