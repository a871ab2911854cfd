"""One engine, as its scheduler knows it: requests, and what each page of the KV cache holds."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

from blackbox.wire.report import PAGE_CACHED, PAGE_IN_USE, EngineReport

WALKS_MAX = 3
"""Tries to see all pages at one instant. The engine's thread may run in between, which it does once in thousands."""


class Walk(NamedTuple):
    """All pages at one instant."""

    states: bytes
    cached: int
    """Held by nobody, kept for later requests."""
    taken_at: float


class Engine:
    """Reads a scheduler from another thread, without ever blocking it."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = weakref.ref(scheduler)
        self._walked: Walk | None = None
        """The last complete walk."""

    def is_of(self, scheduler: Any) -> bool:
        """Whether this is its scheduler."""
        return self._scheduler() is scheduler

    @property
    def is_alive(self) -> bool:
        return self._scheduler() is not None

    @property
    def has_pages(self) -> bool:
        """Whether its pages are where this probe looks for them."""
        return _pool(self._scheduler()) is not None

    def walk(self, now: float) -> bytes | None:
        """The states of all pages; None where they changed during each of the tries."""
        pool = _pool(self._scheduler())
        for _ in range(WALKS_MAX):
            free = pool.get_num_free_blocks()
            states = page_states(pool)
            held = len(states) - states.count(0) - states.count(PAGE_CACHED)
            if free == pool.get_num_free_blocks() == len(states) - 1 - held:
                self._walked = Walk(states, states.count(PAGE_CACHED), now)
                return states
        return None

    def report(self, now: float) -> EngineReport:
        """Its counts now; of cached pages, which only a walk counts, those of the last one."""
        scheduler = self._scheduler()
        running, waiting = _requests(scheduler)
        bare = EngineReport("vllm", model=_model(scheduler), requests_running=running, requests_waiting=waiting)
        pool = _pool(scheduler)
        if pool is None:
            why = "this version of vLLM keeps its pages elsewhere"
            return bare._replace(unknown=dict.fromkeys(("kv_pages_total", "kv_pages_used", "kv_pages_cached"), why))
        free = pool.get_num_free_blocks()
        usable = pool.num_gpu_blocks - 1
        cached, unknown = self._cached(free, now)
        return bare._replace(
            kv_pages_total=pool.num_gpu_blocks,
            kv_pages_used=usable - free,
            kv_pages_cached=cached,
            kv_usage_ratio=(usable - free) / usable if usable else 0.0,
            unknown=unknown,
        )

    def _cached(self, free: int, now: float) -> tuple[int | None, dict[str, str]]:
        if self._walked is None:
            return None, {"kv_pages_cached": "the pages have not been looked through yet"}
        age = now - self._walked.taken_at
        unknown = {"kv_pages_cached": f"as of {age:.1f} s ago"} if age else {}
        return min(self._walked.cached, free), unknown


def page_states(pool: Any) -> bytes:
    """One byte per page. The null page, a placeholder whose references vLLM does not count, is free."""
    null = pool.null_block.block_id
    states = bytearray(
        (PAGE_IN_USE if block.ref_cnt > 0 else 0) | (PAGE_CACHED if block._block_hash is not None else 0)
        for block in pool.blocks
    )
    states[null] = 0
    return bytes(states)


def _pool(scheduler: Any) -> Any:
    return getattr(getattr(scheduler, "kv_cache_manager", None), "block_pool", None)


def _requests(scheduler: Any) -> tuple[int, int]:
    if hasattr(scheduler, "get_request_counts"):
        return scheduler.get_request_counts()
    return len(scheduler.running), len(scheduler.waiting)


def _model(scheduler: Any) -> str | None:
    model = getattr(scheduler.vllm_config, "model_config", None)
    name: Any = getattr(model, "served_model_name", None) or getattr(model, "model", None)
    return name if isinstance(name, str) else str(name[0])
