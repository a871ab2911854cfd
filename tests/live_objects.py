"""What an object keeps alive, counted: what grows with every process, agent or client is seen in it at once."""

import gc
from collections import Counter
from types import BuiltinFunctionType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, FrameType)
"""What leads out of an object into the whole program."""


def live_objects(*roots: Any) -> Counter[str]:
    """How many objects of each type can be reached from the roots, but for code and modules."""
    gc.collect()
    seen = {id(one): one for one in roots}
    waiting: list[Any] = [*roots]
    while waiting:
        found = [one for one in gc.get_referents(*waiting) if not isinstance(one, SHARED)]
        waiting = [one for number, one in {id(one): one for one in found}.items() if number not in seen]
        seen |= {id(one): one for one in waiting}
    return Counter(type(one).__name__ for one in seen.values())
