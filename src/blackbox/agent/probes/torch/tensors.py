"""What the program's tensors are for: parameters, buffers, gradients, optimizer states, caches.

Their owners (modules, optimizers) are recorded when PyTorch sets them up. The address of a tensor is read anew each
time, since `.to()` and the like move it. Only the address is read, and only of objects that the program's Python holds:
whatever would create a new object (`.grad`, a storage) must not be touched on the agent's thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from types import ModuleType
from typing import Any

from blackbox.agent.probe import AgentContext
from blackbox.agent.probes.torch import caches, kinds
from blackbox.agent.probes.torch.composite import parts, scales_in
from blackbox.agent.probes.torch.gradients import Gradients, StorageSpan
from blackbox.agent.probes.torch.heap import instances
from blackbox.agent.probes.torch.live import LiveSet


class Tensors:
    """The modules and optimizers of this process, and the addresses of their tensors."""

    def __init__(self, torch: ModuleType, context: AgentContext) -> None:
        self._torch = torch
        self._context = context
        self._modules = LiveSet()
        self._optimizers = LiveSet()
        self._gradients = Gradients(context.add_cost)

    @property
    def has_modules(self) -> bool:
        """Whether the program has any network."""
        return len(self._modules) > 0

    def watch(self) -> None:
        """Records owners that are set up from now on."""
        module, optimizer = sys.modules.get("torch.nn.modules.module"), sys.modules.get("torch.optim.optimizer")
        for name in "register_module_parameter_registration_hook", "register_module_buffer_registration_hook":
            _place(module, name, self._module_seen)
        _place(optimizer, "register_optimizer_step_post_hook", self._optimizer_seen)

    def search(self) -> None:
        """Finds the owners that are there already. Takes 0.2 microseconds per object of the program: once only."""
        for owners, base in ((self._modules, self._torch.nn.Module), (self._optimizers, self._torch.optim.Optimizer)):
            for thing in instances(base):
                with suppress(TypeError):  # a subclass without weak references
                    owners.add(thing)

    def places(self) -> Iterator[tuple[int, int]]:
        """(address, code of `kinds`) of every tensor on a GPU whose purpose is known."""
        without_overrides = getattr(self._torch._C, "DisableTorchFunctionSubclass", nullcontext)
        with without_overrides():  # subclasses of the program must not run on the agent's thread
            for kind, tensor in self._owned():
                try:
                    for part in parts(tensor):
                        if getattr(part, "is_cuda", False):
                            yield part.data_ptr(), kind  # somewhere in the storage, which suffices to find its block
                except Exception:  # noqa: S112 - being changed at this moment, or of a kind that lies nowhere
                    continue

    def gradients(self) -> tuple[StorageSpan, ...]:
        """(address, bytes) of the gradients, as of the last step of their optimizer."""
        return self._gradients.places(self._optimizers.list())

    def _owned(self) -> Iterator[tuple[int, Any]]:
        for tensor in caches.tensors():
            yield kinds.KV_CACHE, tensor
        for module in self._modules.list():
            for tensor in _values(getattr(module, "_parameters", None)):
                yield kinds.WEIGHT, tensor
            for tensor in _values(getattr(module, "_buffers", None)):
                yield kinds.WEIGHT, tensor
            for tensor in scales_in(module):
                yield kinds.WEIGHT, tensor
        for optimizer in self._optimizers.list():
            for state in _values(getattr(optimizer, "state", None)):
                for tensor in _values(state):
                    yield kinds.OPTIMIZER, tensor

    def _module_seen(self, module: Any, name: str, tensor: Any) -> None:  # noqa: ARG002
        self._seen(self._modules, module)

    def _optimizer_seen(self, optimizer: Any, arguments: Any, keywords: Any) -> None:  # noqa: ARG002
        self._seen(self._optimizers, optimizer)
        with suppress(Exception):  # an optimizer of another kind
            self._gradients.stepped(optimizer)

    def _seen(self, owners: LiveSet, owner: object) -> None:
        try:
            if owners.add(owner):
                self._context.ensure_thread()
        except TypeError:  # a subclass without weak references
            pass


def _place(where: ModuleType | None, register: str, hook: Callable[..., None]) -> None:
    place = getattr(where, register, None)
    if place is not None:
        place(hook)


def _values(mapping: Any) -> Iterable[Any]:
    return list(mapping.values()) if hasattr(mapping, "values") else ()
