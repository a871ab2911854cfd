"""Tensors: storages on a device, and nothing to compute with."""

import torch
from torch import _machine

ITEM_BYTES = 4


class UntypedStorage:
    def __init__(self, device, size):
        self.device = device
        self.size = size
        self.block = None if device is None else _machine.allocate(device, size)

    def data_ptr(self):
        return 0 if self.block is None else self.block.address

    def nbytes(self):
        return self.size

    def __del__(self):
        if getattr(self, "block", None) is not None:
            _machine.free(self.device, self.block)


class Tensor:
    """`device`: number of a GPU, or None for the CPU."""

    is_leaf = True

    def __init__(self, count, device=None):
        if device is not None:
            torch.cuda._lazy_init()
        self.count = count
        self.grad = None
        try:
            self._storage = UntypedStorage(device, count * ITEM_BYTES)
        except _machine.OutOfMemoryError as error:
            raise torch.cuda.OutOfMemoryError(f"CUDA out of memory: {error}") from None

    @property
    def is_cuda(self):
        return self._storage.device is not None

    def data_ptr(self):
        return self._storage.data_ptr()

    if _machine.VERSION >= (2, 0):

        def untyped_storage(self):
            return self._storage

    def to_(self, device):
        """Moves the storage and stays the same object, as parameters do."""
        self._storage = Tensor(self.count, device)._storage
        return self
