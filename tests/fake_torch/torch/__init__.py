"""See the README beside this package."""

from torch import _C, cuda, nn, optim, version  # noqa: I001 - as PyTorch, which loads all of this at once
from torch._tensor import Tensor
from torch import compiler
import importlib

__version__ = version.__version__


def empty(count, device=None):
    return Tensor(count, device)


def __getattr__(name):
    if name == "_inductor":
        return importlib.import_module("torch._inductor")
    raise AttributeError(name)
