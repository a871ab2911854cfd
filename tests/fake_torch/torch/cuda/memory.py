from tests import torch_format
from torch import _machine


def memory_stats_as_nested_dict(device):
    return torch_format.stats(_machine.gpus[device].allocator, _machine.VERSION)


def _put_stacks_into_words():
    """As PyTorch's C++ does: with any stack at hand it looks for the compiler."""
    import torch

    if _machine.history:
        hasattr(torch, "_inductor")


def _segments():
    _put_stacks_into_words()
    if _machine.BACKEND != "native":
        raise RuntimeError(f"{_machine.BACKEND} does not yet support snapshot")
    return [
        segment
        for gpu in _machine.gpus
        for segment in torch_format.segments(gpu.allocator, gpu.number, _machine.VERSION, gpu.frames)
    ]


if _machine.VERSION >= (2, 11):

    def memory_snapshot(mempool_id=None, include_traces=True):
        return _segments()
else:

    def memory_snapshot(mempool_id=None):
        return _segments()


def _snapshot(device=None):
    return {"segments": _segments(), "device_traces": [list(gpu.trace) for gpu in _machine.gpus]}


def _record_memory_history(enabled="all", context="all", stacks="all", max_entries=2**63 - 1):
    _machine.history = {"max_entries": max_entries} if enabled else {}
    for gpu in _machine.gpus:
        gpu.frames.clear()


if _machine.VERSION >= (2, 0):

    def get_allocator_backend():
        return _machine.BACKEND
