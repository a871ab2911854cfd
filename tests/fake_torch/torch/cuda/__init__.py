import os
from types import SimpleNamespace

from torch import _machine

_initialized = False
_initializing = False
_initialized_in = None
_queued_calls = []


class OutOfMemoryError(RuntimeError):
    pass


def _is_in_bad_fork():
    return _initialized_in is not None and _initialized_in != os.getpid()


def is_initialized():
    return _initialized and not _is_in_bad_fork()


def _lazy_call(callable):
    if is_initialized():
        callable()
    else:
        _queued_calls.append(callable)


def _lazy_init():
    global _initialized, _initialized_in, _initializing
    if is_initialized() or _initializing:
        return
    if _is_in_bad_fork():
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.")
    _initializing = True
    for queued in _queued_calls:
        queued()
    _initializing, _initialized, _initialized_in = False, True, os.getpid()


init = _lazy_init


def device_count():
    return _machine.DEVICES


def get_device_properties(device):
    _lazy_init()
    return SimpleNamespace(uuid=_machine.gpus[device].uuid)


from torch.cuda import memory
from torch.cuda.memory import memory_snapshot, memory_stats_as_nested_dict
