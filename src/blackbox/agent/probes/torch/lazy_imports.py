"""Keeps PyTorch from importing its compiler when the agent lists stacks.

To format a recorded stack, PyTorch asks whether `torch._inductor` knows the line, which imports it: a second
of CPU time and a hundred megabytes that the program did not ask for. On the agent's thread, beside the program's own
import of the compiler, it is a circular import that raises `ImportError` in the program (seen on PyTorch 2.11).
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

COMPILER = "_inductor"
_FALLBACK = "__getattr__"
"""What a module answers for names it does not have (yet); it is where PyTorch imports lazily."""


@contextmanager
def compiler_hidden(torch: ModuleType) -> Generator[None]:
    """While it lasts, this thread sees a PyTorch without a compiler, unless that is imported already.

    Other threads see what they always see.
    """
    fallback = vars(torch).get(_FALLBACK)
    if fallback is None:  # before 2.0: nothing is imported lazily
        yield
        return
    ours = threading.get_ident()

    def without_compiler(name: str) -> Any:
        if name == COMPILER and threading.get_ident() == ours:
            raise AttributeError(name)
        return fallback(name)

    setattr(torch, _FALLBACK, without_compiler)
    try:
        yield
    finally:
        if vars(torch).get(_FALLBACK) is without_compiler:
            setattr(torch, _FALLBACK, fallback)
