"""Objects of a class that exist already.

Whoever holds the garbage collector's list holds every object in it, and the program may notice: a tuple that it is
making just then cannot grow any more (`SystemError`), and a tensor that it lets go is warned of by PyTorch. So the list
is gone through in one call of C, during which no other thread runs Python, and is gone when that returns.
"""

from __future__ import annotations

import gc
from itertools import chain, compress, starmap
from typing import Any

from blackbox.agent.overhead import gc_paused


def instances(base: type[Any]) -> list[Any]:
    """Those of `base` and its subclasses, without the ones that the program has hidden by `gc.freeze`.

    By the plain hashes of types, which are their addresses: `isinstance`, `id` (by audit hooks) and comparing types may
    run code of the program.
    """
    classes = frozenset(map(object.__hash__, _with_subclasses(base)))
    every: list[Any] = []
    fill = map(every.extend, map(gc.get_objects, (None,)))
    found = compress(every, map(classes.__contains__, map(object.__hash__, map(type, every))))
    empty = starmap(every.clear, ((),))
    try:
        with gc_paused():  # a collection in between would run code of the program
            return list(chain(fill, found, empty))[1:-1]  # the one call
    finally:
        every.clear()  # where memory ran out in the middle


def _with_subclasses(base: type[Any]) -> list[type[Any]]:
    found = [base]
    for cls in found:
        found += [one for one in type.__subclasses__(cls) if one not in found]
    return found
