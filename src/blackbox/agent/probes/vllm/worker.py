"""One worker: the GPU it works on, and its part of the engine's KV cache."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any

from blackbox.agent.probes.torch.allocator import TorchAllocator
from blackbox.agent.probes.vllm.layout import KvCacheMemory, kv_cache_memory
from blackbox.agent.probes.vllm.sleep import sleeping
from blackbox.wire.report import KvLayout

CPU_VARIABLE = "BLACKBOX_AGENT_CPU_AS"
"""UUID of the GPU that stands for the memory of a CPU-only vLLM. For tests: nothing else should set it."""


class Worker:
    """Reads a worker's tensors from another thread."""

    def __init__(self, wrapper: Any) -> None:
        self._worker = weakref.ref(wrapper.worker)

    def is_of(self, wrapper: Any) -> bool:
        """Whether this is the worker in there."""
        return self._worker() is wrapper.worker

    @property
    def is_alive(self) -> bool:
        return self._worker() is not None

    @property
    def model(self) -> Any:
        """The network, where the worker has loaded one."""
        return getattr(self._runner(), "model", None)

    @property
    def asleep(self) -> bool:
        """Whether its KV cache is unmapped at present."""
        unmapped = sleeping()
        place = self.memory() if unmapped else None
        if place is None:
            return False
        return any(start <= address < start + size for start, size in unmapped for address, _ in place.ranges)

    @property
    def on_cpu(self) -> bool:
        return getattr(self._device(), "type", None) == "cpu"

    def gpu_uuid(self) -> str | None:
        """Of the GPU it works on; None where that is not known."""
        if self.on_cpu:
            return os.environ.get(CPU_VARIABLE)
        return TorchAllocator(sys.modules["torch"]).uuid_of(getattr(self._device(), "index", None) or 0)

    def layout(self, engine: str) -> KvLayout | None:
        """Of its part of the engine's KV cache; None while it has none, and while that sleeps."""
        uuid, place = self.gpu_uuid(), self.memory()
        if uuid is None or place is None or self.asleep:
            return None
        return KvLayout(engine, uuid, place.ranges, place.pages, place.pieces)

    def memory(self) -> KvCacheMemory | None:
        """Where its KV cache lies; None where this version of vLLM does not list it."""
        runner = self._runner()
        tensors = getattr(runner, "kv_caches", None)
        try:
            return kv_cache_memory(runner.kv_cache_config, list(tensors)) if tensors else None
        except Exception:
            return None

    def _runner(self) -> Any:
        return getattr(self._worker(), "model_runner", None)

    def _device(self) -> Any:
        return getattr(self._runner(), "device", None)
