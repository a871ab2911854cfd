"""Reports a failed allocation before the allocator raises its error."""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType, ModuleType
from typing import Any

from blackbox.agent.probe import AgentContext
from blackbox.agent.probes.torch.allocator import TorchAllocator
from blackbox.agent.probes.torch.lazy_imports import compiler_hidden
from blackbox.agent.probes.torch.refused_trace import (
    STACK_DEPTH_MAX,
    TRACE_STEPS_MAX,
    StackNumbers,
    block_stacks,
    held_bytes,
    scopes_of,
    segment_rows,
    settings_of,
    steps_of,
)
from blackbox.wire.report import AllocatorReport, Oom, TraceStep

HISTORY_STEPS = 20_000
"""Steps PyTorch remembers where the user asks for it (`history`): some minutes of training, some megabytes."""
DETAIL_SECONDS = 1.0
"""A program that runs out of memory in a loop, on purpose, is described in detail at most this often."""


class OutOfMemoryWatch:
    """The observer of PyTorch's allocator in this process."""

    def __init__(
        self,
        torch: ModuleType,
        context: AgentContext,
        allocator: TorchAllocator,
        describe: Callable[[list[dict[str, Any]] | None], dict[int, AllocatorReport]],
    ) -> None:
        """`describe` returns the report of every allocator by device, with its blocks: those of a list of segments,
        or of what it lists itself."""
        self._torch = torch
        self._context = context
        self._allocator = allocator
        self._describe = describe
        self._attached = False
        self._detailed_at = float("-inf")
        """Monotonic time of the last report with details."""

    def watch(self) -> None:
        """Attaches as soon as the program has set up CUDA: earlier it would set it up itself, or crash."""
        if self._allocator.initialized:
            self._cuda_is_up()
        else:
            self._torch.cuda._lazy_call(self._cuda_is_up)

    def _cuda_is_up(self) -> None:
        try:
            if not self._attached:
                self._attached = True
                self._torch._C._cuda_attach_out_of_memory_observer(self._observe)
                if "history" in self._context.extras and not self._allocator.history.is_on:
                    self._torch.cuda.memory._record_memory_history(
                        enabled="all", context="alloc", stacks="python", max_entries=HISTORY_STEPS
                    )
        except Exception:  # noqa: S110 - another version of PyTorch
            pass
        self._context.ensure_thread()

    def _observe(self, device: int, requested_bytes: int, total_bytes: int, free_bytes: int) -> None:
        """Called by the allocator on the thread that asked, with no lock of its own held."""
        with contextlib.suppress(Exception):  # must not add a second error
            self._context.out_of_memory(self._report(device, requested_bytes, total_bytes, free_bytes))

    def _report(self, device: int, requested_bytes: int, total_bytes: int, free_bytes: int) -> Oom:
        now = time.monotonic()
        oom = Oom(
            source="pytorch",
            taken_at=now,
            timestamp=time.time(),
            gpu_uuid=self._allocator.uuid_of(device) or "unknown",
            requested_bytes=requested_bytes,
            thread_id=threading.get_native_id(),
            device_total_bytes=total_bytes,
            device_free_bytes=free_bytes,
            message=f"PyTorch could not allocate {requested_bytes} bytes",
        )
        stacks = StackNumbers()
        if now - self._detailed_at >= DETAIL_SECONDS:
            oom = self._detailed(oom, device, stacks)
            self._detailed_at = time.monotonic()
        if not oom.trace or oom.trace[-1].action != "oom":
            stack = stacks.add(_program_stack())
            last = TraceStep("oom", free_bytes, requested_bytes, time_us=int(time.time() * 1e6), stack=stack)
            oom = oom._replace(trace=(*oom.trace, last))
        return oom._replace(stacks=tuple(stacks.lines))

    def _detailed(self, oom: Oom, device: int, stacks: StackNumbers) -> Oom:
        """With the allocator and, where listing that is cheap, its history; the stacks of both in `stacks`. What a
        version of PyTorch has in another shape is left out."""
        whole = self._snapshot() or {"segments": self._segments()}
        segments: list[dict[str, Any]] | None = whole["segments"]
        with contextlib.suppress(Exception):
            oom = oom._replace(allocator=self._describe(segments).get(device))
        with contextlib.suppress(Exception):
            traces = whole.get("device_traces") or ()
            entries = traces[device][-TRACE_STEPS_MAX:] if device < len(traces) else ()
            oom = oom._replace(trace=tuple(steps_of(entries, stacks)))
        with contextlib.suppress(Exception):
            oom = oom._replace(host_pinned_bytes=held_bytes(whole.get("host_segments") or ()))
        if segments is not None:
            with contextlib.suppress(Exception):
                own = [one for one in segments if one.get("device", 0) == device]
                oom = _with_segments(oom, own, stacks)
                fraction = self._allocator.memory_fraction(device)
                oom = oom._replace(settings=settings_of(whole.get("allocator_settings"), fraction, own))
                oom = oom._replace(scopes=scopes_of(whole.get("external_annotations")))
        return oom

    def _segments(self) -> list[dict[str, Any]] | None:
        """The blocks alone; None where they cannot be listed."""
        with contextlib.suppress(Exception):
            return self._allocator.segments()
        return None

    def _snapshot(self) -> dict[str, Any] | None:
        """Segments and history, of one instant; None where there is no history, or listing it would take long."""
        if not self._allocator.history.has_cheap_steps:
            return None
        with contextlib.suppress(Exception), compiler_hidden(self._torch):
            return self._torch.cuda.memory._snapshot()
        return None


def _with_segments(oom: Oom, segments: list[dict[str, Any]], stacks: StackNumbers) -> Oom:
    """With those of its blocks, and the stacks of these."""
    allocator = oom.allocator
    if allocator is None or allocator.blocks is None:
        return oom
    column = block_stacks(segments, allocator.blocks.address, stacks)
    return oom._replace(
        allocator=allocator._replace(blocks=allocator.blocks._replace(stack=column)),
        segments=segment_rows(segments, allocator.blocks.address),
    )


def _program_stack() -> tuple[str, ...]:
    """The calling stack, without the frames of this module."""
    lines: list[str] = []
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and len(lines) < STACK_DEPTH_MAX:
        code: CodeType = frame.f_code
        if code.co_filename != __file__:
            lines.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return tuple(lines)
