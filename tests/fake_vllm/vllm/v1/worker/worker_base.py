"""The process that holds the tensors."""

from __future__ import annotations

from math import prod
from types import SimpleNamespace
from typing import Any

from vllm.v1.kv_cache_interface import KVCacheConfig


class Tensor:
    """So many numbers at an address, in a storage that may begin before them."""

    def __init__(self, storage: tuple[int, int], shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0):
        self._storage = storage
        self._strides = strides
        self._offset = offset
        self.shape = shape

    def untyped_storage(self) -> SimpleNamespace:
        address, size = self._storage
        return SimpleNamespace(data_ptr=lambda: address, nbytes=lambda: size)

    def data_ptr(self) -> int:
        return self._storage[0] + self._offset

    def stride(self) -> tuple[int, ...]:
        return self._strides

    def element_size(self) -> int:
        return 2

    def numel(self) -> int:
        return prod(self.shape)


class Model:
    def __init__(self, weights: list[Tensor]) -> None:
        self._weights = weights

    def parameters(self) -> list[Tensor]:
        return self._weights

    def buffers(self) -> list[Tensor]:
        return []


class Worker:
    def __init__(self, vllm_config: Any, device: str, weights: list[Tensor]) -> None:
        self.vllm_config = vllm_config
        self.model_runner: Any = SimpleNamespace(
            device=SimpleNamespace(type=device, index=0), kv_caches=[], model=Model(weights)
        )


class WorkerWrapperBase:
    def __init__(self, vllm_config: Any, device: str = "cpu", weights: list[Tensor] | None = None) -> None:
        self.worker = Worker(vllm_config, device, weights or [])

    def initialize_from_config(self, config: KVCacheConfig, tensors: list[Any]) -> None:
        self.worker.model_runner.kv_cache_config = config
        self.worker.model_runner.kv_caches = tensors
