from contextlib import nullcontext

from torch import _machine

DisableTorchFunctionSubclass = nullcontext


def _cuda_attach_out_of_memory_observer(observer):
    import torch

    if not (torch.cuda.is_initialized() or torch.cuda._initializing):
        raise SystemExit("PyTorch would have set up CUDA, or crashed")
    _machine.observers.append(observer)


def _activate_gpu_trace():
    _machine.tracing = True


if _machine.VERSION < (2, 1):
    _activate_cuda_trace = _activate_gpu_trace
    del _activate_gpu_trace
else:

    def _cuda_isHistoryEnabled():  # noqa: N802
        return bool(_machine.history)
