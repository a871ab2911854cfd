"""The functions of the C of this folder, as it declares them."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint8, c_uint32, c_void_p
from pathlib import Path

from blackbox.sources.memory_snapshot.compiled.building import FOLDER, is_wanted, library_name
from blackbox.sources.memory_snapshot.entry_shape import KEYS_MAX

REFERENCE_BYTES_MAX = 5
DONE, UNEXPECTED, NO_MEMORY = range(3)
UNTOLD = -(1 << 31)
"""In a table: nobody has told yet."""


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


class UpgradeState(ctypes.Structure):
    """How far a pickle is upgraded."""

    _fields_ = (("read", c_int64), ("written", c_int64), ("remembered", c_int64), ("at_end", c_int32))
    read: int
    written: int
    at_end: int


class Memory(ctypes.Structure):
    """The memory of a device while it is rolled forward."""

    _fields_ = (
        *((name, c_void_p) for name in ("ends", "starts", "live", "rooms", "borders", "rounded", "rests", "large")),
        ("block", c_void_p),
        ("size", c_void_p),
        ("blocks", c_int64),
    )


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
        self.kind = loaded.blackbox_entries_kind
        self.kind.restype, self.kind.argtypes = c_int32, (c_void_p, c_char_p, c_int64, c_int64)
        self.memo = loaded.blackbox_entries_memo
        self.memo.restype, self.memo.argtypes = c_int32, (c_void_p, c_int64)
        self.value = loaded.blackbox_entries_value
        self.value.restype = c_void_p
        self.value.argtypes = (c_void_p, c_int64, POINTER(c_int64), POINTER(c_int64))
        self.told = loaded.blackbox_entries_told
        self.told.restype = c_int64
        self.told.argtypes = (c_void_p, c_int64, c_int64, c_void_p, c_int64, c_int32, c_void_p)
        self.upgrade = loaded.blackbox_pickle_upgrade
        self.upgrade.restype, self.upgrade.argtypes = c_int32, (c_void_p, c_char_p, c_int64, c_void_p)
        self._add_maps(loaded)
        self._add_columns(loaded)
        self._add_bands(loaded)

    def _add_maps(self, loaded: ctypes.CDLL) -> None:
        self.map_new = loaded.blackbox_map_new
        self.map_new.restype, self.map_new.argtypes = c_void_p, ()
        self.map_free = loaded.blackbox_map_free
        self.map_free.restype, self.map_free.argtypes = None, (c_void_p,)
        self.map_put = loaded.blackbox_map_put
        self.map_put.restype, self.map_put.argtypes = c_int32, (c_void_p, c_int64, c_int64)
        self.map_get = loaded.blackbox_map_get
        self.map_get.restype, self.map_get.argtypes = c_int32, (c_void_p, c_int64, POINTER(c_int64))
        self.map_remove = loaded.blackbox_map_remove
        self.map_remove.restype, self.map_remove.argtypes = c_int32, (c_void_p, c_int64)
        self.map_clear = loaded.blackbox_map_clear
        self.map_clear.restype, self.map_clear.argtypes = None, (c_void_p,)
        self.map_count = loaded.blackbox_map_count
        self.map_count.restype, self.map_count.argtypes = c_int64, (c_void_p,)
        self.map_items = loaded.blackbox_map_items
        self.map_items.restype, self.map_items.argtypes = None, (c_void_p,) * 3

    def _add_columns(self, loaded: ctypes.CDLL) -> None:
        columns = (c_char_p, c_void_p, c_void_p)
        self.fit = loaded.blackbox_columns_fit
        self.fit.restype, self.fit.argtypes = c_int32, (c_void_p, c_void_p, c_int64)
        self.undo = loaded.blackbox_columns_undo
        self.undo.restype, self.undo.argtypes = c_int64, (*columns, c_int64, c_int64, *(c_void_p,) * 3)
        self.forward = loaded.blackbox_columns_forward
        self.forward.restype, self.forward.argtypes = c_int64, (*columns, *(c_int64,) * 3, POINTER(Memory))
        self.levels = loaded.blackbox_columns_levels
        self.levels.restype = c_int32
        self.levels.argtypes = (*columns, c_int64, c_int64, c_void_p, c_int64, *(c_void_p,) * 5)
        self.there = loaded.blackbox_columns_there
        self.there.restype, self.there.argtypes = c_int64, (c_char_p, c_void_p, *(c_int64,) * 3, c_void_p)
        self.lives = loaded.blackbox_columns_lives
        self.lives.restype = c_int64
        self.lives.argtypes = (c_char_p, c_void_p, c_int64, c_int64, c_void_p, c_int32, *(c_void_p,) * 3)
        self.extremes = loaded.blackbox_columns_extremes
        self.extremes.restype, self.extremes.argtypes = None, (c_void_p, c_int64, c_int64, c_void_p, c_void_p)
        self.ascend = loaded.blackbox_columns_ascend
        self.ascend.restype, self.ascend.argtypes = c_int32, (c_void_p, c_int64)
        self.negative = loaded.blackbox_columns_negative
        self.negative.restype, self.negative.argtypes = c_int32, (c_void_p, c_int64)
        self.told_of = loaded.blackbox_columns_told
        self.told_of.restype = c_int64
        self.told_of.argtypes = (
            *(c_char_p, c_char_p, c_void_p, c_int64, c_int64),
            *(c_void_p, c_int64, c_int64, c_int32, c_void_p),
        )
        self.pairs = loaded.blackbox_columns_pairs
        self.pairs.restype = c_int64
        self.pairs.argtypes = (*columns, c_int64, *(c_void_p,) * 5, c_int64)

    def _add_bands(self, loaded: ctypes.CDLL) -> None:
        blocks = (*(c_void_p,) * 3, c_int64, c_void_p, c_void_p)
        self.bands_alike = loaded.blackbox_bands_alike
        self.bands_alike.restype = c_int64
        self.bands_alike.argtypes = (
            *(c_void_p, c_int64, c_int64, c_void_p, c_char_p, c_char_p, c_void_p, c_int64, c_int64),
            *(c_void_p,) * 3,
        )
        self.bands_renumber = loaded.blackbox_bands_renumber
        self.bands_renumber.restype, self.bands_renumber.argtypes = None, (c_void_p, c_int64, c_void_p)
        self.bands_most = loaded.blackbox_bands_most
        self.bands_most.restype, self.bands_most.argtypes = c_int32, (*blocks, c_int64, c_int64, *(c_void_p,) * 4)
        self.bands_sums = loaded.blackbox_bands_sums
        self.bands_sums.restype, self.bands_sums.argtypes = c_int32, (*blocks, c_void_p, c_int64, c_void_p, c_void_p)
        self.bands_changes = loaded.blackbox_bands_changes
        self.bands_changes.restype, self.bands_changes.argtypes = c_int64, (c_void_p, c_void_p, c_int64, c_void_p)


def installed_library() -> Library | None:
    """That of these sources; None where there is none that loads, or the user wants Python alone."""
    if not is_wanted():
        return None
    try:
        path = FOLDER / library_name()
        return Library(path) if path.exists() else None
    except (OSError, AttributeError):
        return None
