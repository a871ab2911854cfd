"""Pickles to plain data: dict, list, tuple, str, bytes, int, float, bool, None - nothing that has to be looked up."""

import io
import pickle
from typing import Any, NoReturn, cast

from blackbox.sources.memory_snapshot.addresses import lower_addresses
from blackbox.sources.memory_snapshot.entry_reader import EntryReaderOf, PlainEntryReader
from blackbox.sources.memory_snapshot.nested import Nested, snapshots_in
from blackbox.sources.memory_snapshot.walk import walk
from blackbox.sources.memory_snapshot.wrappers import json_data, unwrapped


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


def snapshots(
    file: io.BufferedIOBase, with_traces: bool = True, reader_of: EntryReaderOf = PlainEntryReader
) -> list[Nested]:
    """The snapshots in the file, or in what it wraps, their long traces as `EntryColumns`; as `plain_data` where
    PyTorch would not write it so. At least one, which is whatever the file holds where that is no snapshot.

    Raises what that raises. Without traces, of these the last entries alone are in it.
    """
    read = json_data(unwrapped(file))
    if read is not None:
        return _lowered(snapshots_in(read, plain_data))
    try:
        return _lowered(walk(unwrapped(file), with_traces, reader_of))
    except MemoryError:
        raise
    except Exception:  # a pickle of another protocol, or a broken one: the reason is told by who reads it whole
        return _lowered(snapshots_in(plain_data(unwrapped(file)), plain_data))


def _lowered(found: list[Nested]) -> list[Nested]:
    for _, snapshot in found:
        if isinstance(snapshot, dict):
            lower_addresses(cast(dict[str, Any], snapshot))
    return found
