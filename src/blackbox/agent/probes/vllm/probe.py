"""The probe: reports on the engines and workers of this process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from typing import Any, Optional

from blackbox.agent.probe import AgentContext
from blackbox.agent.probes.vllm.cpu import allocator_of
from blackbox.agent.probes.vllm.engine import Engine
from blackbox.agent.probes.vllm.running import running
from blackbox.agent.probes.vllm.worker import Worker
from blackbox.wire.report import AllocatorReport, KvLayout, KvStates, Report


class VllmProbe:
    """Reports on the vLLM of this process: an engine, a worker, or both."""

    source = "vllm"

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self._engines: list[Engine] = []
        self._workers: list[Worker] = []
        self._unsearched: list[type[Any]] = []
        """Classes of which there may be objects that were made before the agent came."""
        self._slept = False
        """Whether a KV cache was asleep at the last report."""

    def look_for(self, cls: type[Any]) -> None:
        """Has the next report look for objects of this class that are there already."""
        self._unsearched.append(cls)

    def engine_made(self, scheduler: Any) -> None:
        """Called by the hook."""
        others = [engine for engine in self._engines if engine.is_alive and not engine.is_of(scheduler)]
        self._engines = [*others, Engine(scheduler)]
        self._context.ensure_thread()

    def cache_made(self, wrapper: Any) -> None:
        """Called by the hook."""
        others = [worker for worker in self._workers if worker.is_alive and not worker.is_of(wrapper)]
        self._workers = [*others, Worker(wrapper)]
        self._context.ensure_thread()

    def report(self, full: bool) -> Optional[Report]:  # noqa: UP045 - the Protocol's spelling
        """See `Probe`."""
        if self._unsearched:
            self._search()
        engines = [engine for engine in self._engines if engine.is_alive]
        workers = [worker for worker in self._workers if worker.is_alive]
        if not engines and not workers:
            return None
        now = time.monotonic()
        slept, self._slept = self._slept, any(worker.asleep for worker in workers)
        return Report(
            self.source,
            now,
            allocators=_allocators(workers, full),
            kv_layouts=_layouts(workers, engine_pid(engines)) if full or slept != self._slept else None,
            kv_states=_states(engines, now) if full else None,
            engines=tuple(engine.report(now) for engine in engines),
        )

    def _search(self) -> None:
        wanted, self._unsearched = tuple(self._unsearched), []
        with contextlib.suppress(Exception):  # another version of vLLM: what is made from now on
            for found in running(wanted):
                (self.cache_made if hasattr(found, "worker") else self.engine_made)(found)


def engine_pid(engines: list[Engine]) -> int:
    """The pid by which an engine and its workers are joined: of this process, or of the one that started it."""
    if engines:
        return os.getpid()
    parent = multiprocessing.parent_process()
    return os.getppid() if parent is None else parent.pid or 0


def _layouts(workers: list[Worker], engine: int) -> tuple[KvLayout, ...]:
    return tuple(layout for worker in workers if (layout := worker.layout(str(engine))) is not None)


def _states(engines: list[Engine], now: float) -> tuple[KvStates, ...] | None:
    """None where the pages could not be read this time: the last report stands.

    Empty for several engines in one process: which tensors belong to which is not known.
    """
    if len(engines) != 1 or not engines[0].has_pages:
        return ()
    try:
        states = engines[0].walk(now)
    except Exception:  # another version of vLLM: counts only
        return ()
    return None if states is None else (KvStates(str(engine_pid(engines)), states),)


def _allocators(workers: list[Worker], full: bool) -> tuple[AllocatorReport, ...]:
    """Of a CPU that stands for a GPU in tests; memory of GPUs is reported by the probe in PyTorch."""
    reports: list[AllocatorReport] = []
    for worker in workers:
        if not worker.on_cpu:
            continue
        uuid, place = worker.gpu_uuid(), worker.memory()
        if uuid is not None and place is not None:
            report = allocator_of(worker.model, place, uuid)
            reports.append(report if full else report._replace(blocks=None))
    return tuple(reports)
