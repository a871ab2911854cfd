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
from blackbox.wire.report import NOT_KNOWN, AllocatorReport, Oom, TraceStep

HISTORY_STEPS = 20_000
"""Steps PyTorch remembers where the user asks for it (`history`): some minutes of training, some megabytes."""
TRACE_STEPS_MAX = 5_000
"""Newest steps in a report; more would not fit its header."""
STACK_DEPTH_MAX = 64
DETAIL_SECONDS = 1.0
"""A program that runs out of memory in a loop, on purpose, is described in detail at most this often."""


class OutOfMemoryWatch:
    """The observer of PyTorch's allocator in this process."""

    def __init__(
        self,
        torch: ModuleType,
        context: AgentContext,
        allocator: TorchAllocator,
        describe: Callable[[], dict[int, AllocatorReport]],
    ) -> None:
        """`describe` returns the report of every allocator by device, with its blocks."""
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
        described: AllocatorReport | None = None
        history: list[dict[str, Any]] = []
        if now - self._detailed_at >= DETAIL_SECONDS:
            with contextlib.suppress(Exception):
                described = self._describe().get(device)
            with contextlib.suppress(Exception):
                history = self._history(device)
            self._detailed_at = time.monotonic()
        stacks: dict[tuple[str, ...], int] = {}
        steps = [_step(entry, stacks) for entry in history]
        if not steps or steps[-1].action != "oom":
            stack = stacks.setdefault(_program_stack(), len(stacks))
            steps.append(TraceStep("oom", 0, requested_bytes, time_us=int(time.time() * 1e6), stack=stack))
        return Oom(
            source="pytorch",
            taken_at=now,
            timestamp=time.time(),
            gpu_uuid=self._allocator.uuid_of(device) or "unknown",
            requested_bytes=requested_bytes,
            thread_id=threading.get_native_id(),
            device_total_bytes=total_bytes,
            device_free_bytes=free_bytes,
            allocator=described,
            trace=tuple(steps),
            stacks=tuple(stacks),
            message=f"PyTorch could not allocate {requested_bytes} bytes",
        )

    def _history(self, device: int) -> list[dict[str, Any]]:
        if not self._allocator.history.has_cheap_steps:
            return []
        with compiler_hidden(self._torch):
            traces = self._torch.cuda.memory._snapshot()["device_traces"]
        return traces[device][-TRACE_STEPS_MAX:] if device < len(traces) else []


def _step(entry: dict[str, Any], stacks: dict[tuple[str, ...], int]) -> TraceStep:
    """One entry of PyTorch's history. Its stack is numbered in `stacks`."""
    frames = entry.get("frames") or ()
    stack = None
    if frames:
        lines = tuple(f"{frame['filename']}:{frame['line']} {frame['name']}" for frame in frames[:STACK_DEPTH_MAX])
        stack = stacks.setdefault(lines, len(stacks))
    return TraceStep(
        entry["action"],
        entry.get("addr", 0),
        entry["size"],
        stream=entry.get("stream", NOT_KNOWN),
        time_us=entry.get("time_us"),
        stack=stack,
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
