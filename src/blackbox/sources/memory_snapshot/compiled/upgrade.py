"""Pickles of protocol 2 and 3, as `torch.save` writes them, read as if they were of protocol 4."""

import ctypes

from blackbox.sources.memory_snapshot.compiled.library import Library, UpgradeState
from blackbox.sources.memory_snapshot.pickle_stream import UnexpectedError, Upgraded


class CompiledUpgrade:
    """One pickle, by a library of `upgrade.c`."""

    def __init__(self, library: Library) -> None:
        self._library, self._state = library, UpgradeState()

    def __call__(self, data: bytes) -> Upgraded:
        """See `Upgrade`."""
        into = bytearray(max(1, len(data)))
        room = (ctypes.c_uint8 * len(into)).from_buffer(into)
        if not self._library.upgrade(ctypes.byref(self._state), data, len(data), room):
            raise UnexpectedError
        return Upgraded(bytes(memoryview(into)[: self._state.written]), self._state.read, bool(self._state.at_end))
