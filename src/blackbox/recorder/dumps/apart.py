"""Dumps made by a helper process: ten minutes of moments pass through memory for each."""

import contextlib
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from blackbox.errors import FailureError
from blackbox.model.event import Event
from blackbox.model.event_list import light
from blackbox.recorder.dumps.file import partial_paths
from blackbox.recorder.dumps.keeper import DumpKeeper, keep
from blackbox.recorder.dumps.retention import Evictions
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.storage.helper import Helper, HelperLostError

TASK = f"{__name__}:keep_here"


class DumpOrder(Struct, frozen=True):
    """What to keep: the arguments of `keep`."""

    recording: str
    directory: str
    event: Event
    """Without its blocks, which the recording has."""
    now: float


class KeepApart:
    """`keep` by a helper, one at a time; here where none can be started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Guards the two below."""
        self._helper: Helper | None = None
        self._is_ended = False

    def keep(self, recording: Recording, directory: Path, event: Event, now: float) -> Path:
        """A dump of the time before and a little after an event. Raises `FailureError`; `HelperLostError` where it may
        be tried again."""
        order = DumpOrder(str(recording.directory), str(directory), light(event), now)
        try:
            helper = self._started(msgspec.json.encode(order))
        except OSError:
            return keep(recording, directory, event, now)
        try:
            return Path(helper.wait().decode())
        finally:
            self._helper = None
            for partial in partial_paths(directory, helper.pid):
                with contextlib.suppress(OSError):
                    partial.unlink()

    def end(self) -> None:
        """Ends what is under way; nothing is begun afterwards."""
        with self._lock:
            self._is_ended = True
            if self._helper is not None:
                self._helper.end()

    def _started(self, order: bytes) -> Helper:
        with self._lock:
            if self._is_ended:
                raise HelperLostError("the server stops")
            helper = self._helper = Helper(TASK, order)
        return helper


def keeper_apart(directory: Path, recording: Recording, evictions: Evictions) -> DumpKeeper:
    """A keeper of the dumps of a directory whose helpers make them."""
    apart = KeepApart()
    return DumpKeeper(directory, recording, evictions=evictions, write=apart.keep, end=apart.end)


def keep_here(order: bytes) -> bytes:
    """The helper's inside."""
    told = msgspec.json.decode(order, type=DumpOrder)
    try:
        made = keep(Recording(Path(told.recording)), Path(told.directory), told.event, told.now)
    except OSError as error:
        raise FailureError(f"{told.directory}: {error.strerror or error}") from None
    return str(made).encode()
