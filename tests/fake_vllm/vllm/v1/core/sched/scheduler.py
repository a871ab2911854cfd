"""Requests, and the pool of pages they hold."""

from types import SimpleNamespace
from typing import Any

from vllm.v1.core.block_pool import BlockPool


class Scheduler:
    def __init__(self, vllm_config: Any, pages: int) -> None:
        self.vllm_config = vllm_config
        self.kv_cache_manager = SimpleNamespace(block_pool=BlockPool(pages))
        self.running: list[str] = []
        self.waiting: list[str] = []

    def get_request_counts(self) -> tuple[int, int]:
        return len(self.running), len(self.waiting)


class AsyncScheduler(Scheduler):
    """The one that servers use."""
