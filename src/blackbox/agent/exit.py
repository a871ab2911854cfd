"""How the program ends, as Python shows it to those who run at its end."""

from __future__ import annotations

import sys
from types import TracebackType

NAME_MAX = 200


def exception_name() -> str | None:
    """Type of the exception that ends the program; None where it returns or exits by itself.

    In a child of `multiprocessing` it is on its way through the caller; elsewhere Python has printed it and put it
    beside `sys`, where test runners and notebooks put those, too, that they have caught. One that nobody caught has
    come through the first frame of all.
    """
    under_way = sys.exc_info()[0]
    if under_way is not None:
        return _name(under_way)
    error = getattr(sys, "last_type", None)
    printed = getattr(sys, "last_traceback", None)
    if not isinstance(error, type) or hasattr(sys, "ps1") or not _came_through_all(printed):
        return None
    return _name(error)


def _came_through_all(printed: TracebackType | None) -> bool:
    return printed is None or printed.tb_frame.f_back is None


def _name(error: type) -> str | None:
    if issubclass(error, (SystemExit, GeneratorExit)):
        return None
    name = error.__qualname__
    return (name if error.__module__ in ("builtins", "__main__") else f"{error.__module__}.{name}")[:NAME_MAX]
