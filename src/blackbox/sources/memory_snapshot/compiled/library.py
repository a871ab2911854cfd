"""The functions of `entries.c`, as it declares them."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_uint32, c_void_p
from pathlib import Path

from blackbox.sources.memory_snapshot.compiled.building import FOLDER, is_wanted, library_name
from blackbox.sources.memory_snapshot.entry_shape import KEYS_MAX

REFERENCE_BYTES_MAX = 5
DONE, UNEXPECTED, NO_MEMORY = range(3)


class Key(ctypes.Structure):
    """A key of an entry."""

    _fields_ = (
        ("column", c_uint8),
        ("kind", c_uint8),
        ("length", c_uint8),
        ("reference", c_uint8 * REFERENCE_BYTES_MAX),
    )


class Shape(ctypes.Structure):
    """One kind of entries."""

    _fields_ = (("keys", c_int32), ("key", Key * KEYS_MAX))


class CallResult(ctypes.Structure):
    """What a call has read."""

    _fields_ = (
        ("position", c_int64),
        ("rows", c_int64),
        ("memo_count", c_int64),
        ("value_count", c_int64),
        ("shapes", c_uint32),
        ("status", c_int32),
    )
    position: int
    rows: int
    memo_count: int
    value_count: int
    shapes: int
    status: int


class Library:
    """A compiled library. Raises `OSError` or `AttributeError` where there is none, or it is something else."""

    def __init__(self, path: Path) -> None:
        loaded = ctypes.CDLL(str(path))
        self.new = loaded.blackbox_entries_new
        self.new.restype, self.new.argtypes = c_void_p, ()
        self.free = loaded.blackbox_entries_free
        self.free.restype, self.free.argtypes = None, (c_void_p,)
        self.learn = loaded.blackbox_entries_learn
        self.learn.restype, self.learn.argtypes = c_int32, (c_void_p, POINTER(Shape))
        self.read = loaded.blackbox_entries_read
        self.read.restype = None
        self.read.argtypes = (
            c_void_p,
            c_char_p,
            *(c_int64,) * 4,
            c_void_p,
            c_int64,
            POINTER(CallResult),
        )
        self.memo = loaded.blackbox_entries_memo
        self.memo.restype, self.memo.argtypes = c_void_p, (c_void_p, c_int64)
        self.value = loaded.blackbox_entries_value
        self.value.restype = c_void_p
        self.value.argtypes = (c_void_p, c_int64, POINTER(c_int64), POINTER(c_int64))


def installed_library() -> Library | None:
    """That of these sources; None where there is none that loads, or the user wants Python alone."""
    if not is_wanted():
        return None
    try:
        path = FOLDER / library_name()
        return Library(path) if path.exists() else None
    except (OSError, AttributeError):
        return None
