"""The data directory: whose it is, who writes it, and the chunk files in it."""

import contextlib
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from blackbox.errors import FailureError
from blackbox.model.times import file_stamp, of_file_stamp
from blackbox.recorder.storage.database import BESIDE_SUFFIX, COMPANIONS
from blackbox.recorder.storage.dump_files import DUMP_SUFFIX, DUMPS_DIRECTORY, PARTIAL_SUFFIX, may_be_opened
from blackbox.recorder.storage.privacy import make_directory, may_be_replaced, open_to_others, take_from_others

LOCK_NAME = "lock"
SUFFIX = ".db"
DEMO_DIRECTORY = "demo"
"""Inside the data directory: simulated numbers never stand among measured ones."""
FLEET_NAME = "fleet.json"
"""How far the recording was shipped to a fleet's database, where it is."""
NAMES = (LOCK_NAME, DUMPS_DIRECTORY, DEMO_DIRECTORY, FLEET_NAME)
NAMES_KEPT = 1 << 10
"""Names of chunks that are taken apart once, of 400 bytes: some hundred are there, and each question looks for all."""
_TIME = "%Y%m%dT%H%M%SZ"

log = logging.getLogger(__name__)


class ChunkFile(NamedTuple):
    """One chunk, `<tier>-<start>-<number>.db`. Start and number order the chunks of a tier."""

    start: float
    """Unix seconds; of the period that gave it its name."""
    number: int
    """0, unless there were damaged ones before it."""
    path: Path

    def bytes(self) -> int:
        """Its size on disk, with its companions."""
        return sum(_size(path) for path in (self.path, *_companions(self.path)))

    def has_companions(self) -> bool:
        """It is being written, or was when its writer was killed."""
        return any(path.exists() for path in _companions(self.path))

    def delete(self) -> None:
        """Removes it, companions first: SQLite would apply an orphaned log to the next file of that name."""
        for path in (*_companions(self.path), self.path):
            path.unlink(missing_ok=True)


def chunk_files(directory: Path, tier: str) -> list[ChunkFile]:
    """The chunks of a tier, oldest first."""
    found: list[ChunkFile] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                chunk = _chunk_of(directory, entry.name) if entry.name.startswith(f"{tier}-") else None
                if chunk is not None and may_be_opened(entry):
                    found.append(chunk)
    except OSError:
        return []
    return sorted(found)


def chunk_file(directory: Path, tier: str, start: float, number: int) -> ChunkFile:
    """The chunk of that name, whether it exists or not."""
    stamp = file_stamp(start)
    return ChunkFile(start, number, directory / f"{tier}-{stamp}-{number}{SUFFIX}")


def tidy(directory: Path) -> None:
    """Removes what a killed process was making; what cannot be removed, as another user's, stays. For the holder of the
    lock alone."""
    beside = filter(_is_ours, directory.glob(f"*{SUFFIX}{BESIDE_SUFFIX}*"))
    partial = (directory / DUMPS_DIRECTORY).glob(f".*{DUMP_SUFFIX}.*{PARTIAL_SUFFIX}")
    for path in (*beside, *partial):
        with contextlib.suppress(OSError):
            path.unlink()


def prepare(directory: Path) -> None:
    """Makes the directory, and closes what is ours in it to other users. Raises `FailureError`."""
    try:
        make_directory(directory)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(0, "not writable")
        for path in _ours(directory):
            take_from_others(path)
        if all(map(_is_ours, directory.iterdir())):  # or it is /tmp, or somebody's home
            take_from_others(directory)
        if may_be_replaced(directory):
            log.warning(
                "another user can replace files in %s: choose a --data-dir that is this user's alone", directory
            )
    except OSError as error:
        raise FailureError(f"cannot record in {directory}: {error.strerror or error}") from error


def exposed(directory: Path) -> list[Path]:
    """What other users may read of a recording: its files where the directory lets them in. Raises `OSError`."""
    directory.lstat()
    if next(open_to_others(iter((directory,))), None) is None:
        return []
    return list(open_to_others(path for path in _ours(directory) if path.is_file()))


def _ours(directory: Path) -> Iterator[Path]:
    """The recording's files, and the directory of dumps."""
    yield from filter(_is_ours, directory.iterdir())
    yield from (directory / DUMPS_DIRECTORY).glob(f"*{DUMP_SUFFIX}")


def _is_ours(path: Path) -> bool:
    """By its name: beside a recording, in /tmp say, other programs have databases of their own."""
    if path.name in NAMES:
        return True
    chunk, _, more = path.name.partition(SUFFIX)
    beside = more.removeprefix(BESIDE_SUFFIX)
    return beside in ("", *COMPANIONS) and _start_and_number(chunk + SUFFIX) is not None


class DirectoryLock:
    """Held by the one server that records here. It ends with the process, however that ends."""

    def __init__(self, directory: Path) -> None:
        """Raises `FailureError`, naming the holder."""
        path = directory / LOCK_NAME
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FailureError(f"cannot record in {directory}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._handle).st_mode):  # a pipe would be waited for
            os.close(self._handle)
            raise FailureError(f"cannot record in {directory}: its lock is no file")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._handle, 32).decode("ascii", "replace").strip()
            holder = holder if holder.isdigit() else "of unknown pid"
            os.close(self._handle)
            if isinstance(error, BlockingIOError):
                raise HeldError(
                    f"process {holder} records in {directory}: choose another --data-dir, or --no-record"
                ) from None
            raise FailureError(f"cannot record in {directory}: {error.strerror}") from error
        self._name_holder()

    def _name_holder(self) -> None:
        """Tells who holds the lock; a full disk cannot prevent the holding, only the telling."""
        try:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            return

    def close(self) -> None:
        """Lets go."""
        os.close(self._handle)


class HeldError(FailureError):
    """Another process records in this directory."""


@lru_cache(NAMES_KEPT)
def _chunk_of(directory: Path, name: str) -> ChunkFile | None:
    """The chunk of that name; None where it is none."""
    told = _start_and_number(name)
    return None if told is None else ChunkFile(*told, directory / name)


def _start_and_number(name: str) -> tuple[float, int] | None:
    """What the name of a chunk tells; None where it is none."""
    if not name.endswith(SUFFIX):
        return None
    try:
        _, stamp, number = name.removesuffix(SUFFIX).split("-")
        return of_file_stamp(stamp), int(number)
    except ValueError:
        return None


def _companions(path: Path) -> Iterator[Path]:
    return (path.with_name(path.name + suffix) for suffix in COMPANIONS)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
