"""How far a recording has been shipped: a small file beside it, written once a delivery has been seen to arrive."""

import hashlib
import os
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

from blackbox.errors import FailureError
from blackbox.model.decoding import DECODE_ERRORS
from blackbox.recorder.storage.directory import FLEET_NAME

FILE_BYTES_MAX = 64 * 1024
MACHINE_ID = Path("/etc/machine-id")
MACHINE_DIGITS = 16


class Cursor(Struct, frozen=True, kw_only=True):
    """Where shipping goes on."""

    recording: str
    """Identity of the recording: made with the file, and gone with it."""
    shipped_until: float | None = None
    """All minutes before were shipped, in Unix seconds, or are told as lost; None before the first."""
    ahead: tuple[tuple[float, float], ...] = ()
    """Ranges behind it that were shipped while older minutes waited, oldest first; none touches the next."""
    silence: tuple[float, float] | None = None
    """The last long stretch without minutes that was passed over."""
    told: float = 0.0
    """When the machine's newest word about itself was said: never before an earlier one, whatever the clock does."""
    event_id: int = 0
    """Of the last event that was shipped."""
    gaps: int = 0
    """Stretches that were lost before they were shipped."""


class CursorFile:
    """The file of one data directory; whoever records there is the only one to write it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FLEET_NAME

    def read(self) -> Cursor:
        """The cursor; a new one where there is none, or what is there is damaged: the rows of a recording that is
        shipped once more are rows of another machine, never twice those of one. Raises `FailureError`."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=Cursor)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise FailureError(f"cannot read {self._path}: {error.strerror}") from None
        except DECODE_ERRORS:
            pass
        made = Cursor(recording=str(uuid.uuid4()))
        self.write(made)
        return made

    def write(self, cursor: Cursor) -> None:
        """On the disk when it returns. Raises `FailureError`."""
        beside = self._path.with_suffix(".new")
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(cursor))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise FailureError(f"cannot write {self._path}: {error.strerror}") from None


def machine_of(recording: str, machine_id: Path = MACHINE_ID) -> str:
    """Identity of a machine with this recording; two that were copied from one image have different ones."""
    try:
        own = machine_id.read_text().strip()
    except (OSError, UnicodeDecodeError):
        own = ""
    return hashlib.sha256(f"{own}/{recording}".encode()).hexdigest()[:MACHINE_DIGITS]
