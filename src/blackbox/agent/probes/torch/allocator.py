"""PyTorch's caching allocator, read without ever initialising CUDA."""

from __future__ import annotations

import inspect
from contextlib import suppress
from types import ModuleType
from typing import Any, NamedTuple

from blackbox.agent import devices
from blackbox.agent.probes.torch.history import AllocatorHistory
from blackbox.agent.probes.torch.lazy_imports import compiler_hidden

NATIVE = "native"
REASON_CHARS_MAX = 200
"""Of an error's text."""


class BlocksUnknownError(Exception):
    """The blocks cannot be listed, or not cheaply; the message is the reason that users read."""


def in_one_line(error: Exception) -> str:
    """What an error says, short enough for a reason."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:REASON_CHARS_MAX]


class Counters(NamedTuple):
    """What the allocator counts on one device."""

    reserved_bytes: int
    allocated_bytes: int
    inactive_split_bytes: int | None
    requested_bytes: int | None
    unknown: dict[str, str]
    """Field -> why it is None."""


class TorchAllocator:
    """The functions of one version of PyTorch."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch
        self._cuda = torch.cuda
        self.history: AllocatorHistory = AllocatorHistory(torch)
        self._uuids: dict[int, str | None] = {}
        self._can_leave_out_traces = "include_traces" in inspect.signature(torch.cuda.memory_snapshot).parameters

    @property
    def initialized(self) -> bool:
        """Whether the program has set up CUDA in this very process."""
        return self._cuda.is_initialized()

    @property
    def backend(self) -> str:
        """`native`, `cudaMallocAsync`, or the name of what replaces them."""
        ask = getattr(self._cuda.memory, "get_allocator_backend", None)
        return NATIVE if ask is None else ask()

    def counters(self) -> dict[int, Counters]:
        """Of every device that holds memory. Costs little however many blocks there are."""
        read = _counters if self.backend == NATIVE else _foreign_counters
        found: dict[int, Counters] = {}
        for device in range(self._cuda.device_count()):
            with suppress(Exception):  # a device that is lost: the others are told
                counters = read(self._cuda.memory_stats_as_nested_dict(device))
                if counters.reserved_bytes:
                    found[device] = counters
        return found

    def memory_fraction(self, device: int) -> float | None:
        """Of the GPU's memory, that this program may have; None: all, or this version of PyTorch does not tell."""
        ask = getattr(self._cuda.memory, "get_per_process_memory_fraction", None)
        with suppress(Exception):
            fraction = None if ask is None else float(ask(device))
            return fraction if fraction is not None and 0 < fraction < 1 else None
        return None

    def segments(self) -> list[dict[str, Any]]:
        """Every segment with its blocks. Raises `BlocksUnknownError`."""
        if self.backend != NATIVE:
            raise BlocksUnknownError(f"the allocator {self.backend} does not list its blocks")
        if self.history.is_on and not self._can_leave_out_traces:
            raise BlocksUnknownError("while it records its history, this version of PyTorch lists blocks too slowly")
        if self.history.is_on and not self.history.has_cheap_stacks:
            raise BlocksUnknownError(
                "while it records stacks of C++, PyTorch may list blocks slowly; "
                "stacks='python' in _record_memory_history keeps them short"
            )
        try:
            if self._can_leave_out_traces:
                with compiler_hidden(self._torch):
                    return self._cuda.memory_snapshot(include_traces=False)
            return self._cuda.memory_snapshot()
        except Exception as error:  # as in builds of early 2026; the counters are told all the same
            raise BlocksUnknownError(f"PyTorch could not list them: {in_one_line(error)}") from None

    def limit_bytes(self, device: int) -> int | None:
        """What the program's memory fraction lets it hold of a device; None: all, or this PyTorch does not tell."""
        fraction = self.memory_fraction(device)
        with suppress(Exception):  # properties of another shape: the rest is told
            return None if fraction is None else int(fraction * self._cuda.get_device_properties(device).total_memory)
        return None

    def uuid_of(self, device: int) -> str | None:
        """The UUID of a GPU, from the driver, else from PyTorch (2.5 and newer); None where neither has one."""
        if device not in self._uuids:
            uuid = devices.uuid_of(device)
            if uuid is None and getattr(self._torch.version, "hip", None) is None:  # which has something else there
                told = getattr(self._cuda.get_device_properties(device), "uuid", None)
                uuid = None if told is None else f"GPU-{told}"
            self._uuids[device] = uuid
        return self._uuids[device]


def _counters(stats: dict[str, Any]) -> Counters:
    unknown: dict[str, str] = {}
    requested = None
    if "requested_bytes" not in stats:
        unknown["requested_bytes"] = "this version of PyTorch does not count it"
    elif _current(stats, "active_bytes") != _current(stats, "allocated_bytes"):
        unknown["requested_bytes"] = "PyTorch counts blocks that were freed and wait for a stream, too"
    else:
        requested = _current(stats, "requested_bytes")
    return Counters(
        _current(stats, "reserved_bytes"),
        _current(stats, "allocated_bytes"),
        _current(stats, "inactive_split_bytes"),
        requested,
        unknown,
    )


def _foreign_counters(stats: dict[str, Any]) -> Counters:
    """Of a backend that leaves at 0 what it does not count."""
    why = "this allocator does not count it"
    unknown = {"inactive_split_bytes": why, "requested_bytes": why}
    return Counters(_current(stats, "reserved_bytes"), _current(stats, "allocated_bytes"), None, None, unknown)


def _current(stats: dict[str, Any], name: str) -> int:
    return stats[name]["all"]["current"]
