"""Engines and workers that were made before the agent came, which no hook has seen.

vLLM takes its objects out of the garbage collector's lists (`gc.freeze`), so they are looked for from the loops that
run in its processes as long as these live, and from the variables of the main module.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, cast

LOOPS = ("run_busy_loop", "worker_busy_loop")
"""Methods of the process that has the engine, and of one that has a worker."""
LOOKED_AT_MAX = 2000
"""Objects of vLLM; some hundred lie between a loop and what it works with."""
ITEMS_MAX = 64
"""Of a list of workers; others, such as those of pages, are longer than anybody needs."""
_LOCALS_ARE_COPIES = sys.version_info < (3, 13)
_CALLED = ("vllm.", "torch.")
"""Modules whose functions the loops call."""


def running(wanted: tuple[type[Any], ...]) -> list[Any]:
    """The objects of these classes."""
    found: dict[int, Any] = {}
    seen: set[int] = set()
    left = [*_in_loops(), *_values(vars(sys.modules["__main__"]).values())]
    while left and len(seen) < LOOKED_AT_MAX:
        thing = left.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if issubclass(type(thing), wanted):  # `isinstance` may run the program's code
            found[id(thing)] = thing
        elif _is_vllms(thing):
            with contextlib.suppress(AttributeError):
                left += _values(object.__getattribute__(thing, "__dict__").values(), wanted)
    return list(found.values())


def _in_loops() -> Iterator[Any]:
    """Whose loops run now, in any thread."""
    for top in sys._current_frames().values():  # pyright: ignore[reportPrivateUsage] - the only way to them
        above, frame = None, top
        while frame is not None:
            if frame.f_code.co_name in LOOPS and _module(frame).startswith("vllm.") and _may_be_read(frame, above):
                names = frame.f_locals
                yield names.get("self")
                if _LOCALS_ARE_COPIES:  # and stay with the frame, where they would keep all alive
                    names.clear()
            above, frame = frame, frame.f_back


def _may_be_read(frame: FrameType, above: FrameType | None) -> bool:
    """Whether its variables can be looked at from another thread.

    `above`: what the frame has called. Where that is a debugger's or a profiler's function, an older Python writes the
    copy back into the variables once it returns, and so would lose them to our clearing it.
    """
    if not _LOCALS_ARE_COPIES:
        return getattr(sys, "_is_gil_enabled", lambda: True)()  # without the lock they may be changing
    return frame.f_trace is None and (above is None or _module(above).startswith(_CALLED))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _values(values: Iterable[Any], wanted: tuple[type[Any], ...] = ()) -> list[Any]:
    """Those of vLLM among them, and in lists and dictionaries among them."""
    found: list[Any] = []
    for value in list(values):
        found += [one for one in _items(value) if _is_vllms(one) or issubclass(type(one), wanted)]
    return found


def _items(value: Any) -> list[Any]:
    kind = cast(object, type(value))
    if kind is dict:
        return list(value.values())[:ITEMS_MAX]
    return list(value[:ITEMS_MAX]) if kind is list or kind is tuple else [value]


def _is_vllms(thing: object) -> bool:
    return str(type(thing).__module__).startswith("vllm.")
