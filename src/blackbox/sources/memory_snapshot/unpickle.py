"""Pickles to plain data: dict, list, tuple, str, bytes, int, float, bool, None - nothing that has to be looked up."""

import io
import pickle
from typing import Any, NoReturn


class Unpickler(pickle.Unpickler):
    """Refuses every opcode that names a class or a function, which are those that could run code."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        """Never finds."""
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}"[:200])

    def persistent_load(self, pid: object) -> NoReturn:  # noqa: ARG002
        """Never loads."""
        raise pickle.UnpicklingError("it refers to an object outside of itself")


def plain_data(pickled: io.BufferedIOBase) -> Any:
    """What is in the pickle. Raises `pickle.UnpicklingError`, or whatever a broken one provokes."""
    return Unpickler(pickled).load()
