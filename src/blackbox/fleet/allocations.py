"""What a scheduler gave to a job, written by its own hooks: servers see processes alone, and an empty GPU has none."""

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from blackbox.errors import FailureError
from blackbox.fleet.batch import make_batch
from blackbox.fleet.deliver import Delivery
from blackbox.fleet.rows import Origin, whole_time
from blackbox.fleet.schema import ALLOCATION
from blackbox.fleet.send import Access, EngineConnection

FILE_BYTES_MAX = 64 * 1024
GPUS_MAX = 1024
"""Of a machine, by far."""
JOB = re.compile(r"[\w.:-]{1,128}", re.ASCII)
"""What the name of a job may be: it names a file, too."""


class Allocation(Struct, frozen=True, kw_only=True):
    """GPUs of this machine that a job has; kept in a file until it gives them back."""

    job: str
    since: int
    """Unix seconds."""
    gpu_uuids: tuple[str, ...]
    user: str | None = None
    """In the words of the tables (`--fleet-users`)."""
    scheduler: str = "slurm"


class AllocationFiles:
    """The allocations that last: a file each in a directory of the hooks."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, allocation: Allocation) -> None:
        """Raises `FailureError`."""
        path = self._path(allocation.job)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(allocation))
        except OSError as error:
            raise FailureError(f"cannot write {path}: {error.strerror}") from None

    def read(self, job: str) -> Allocation:
        """Raises `FailureError`."""
        path = self._path(job)
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=Allocation)
        except OSError as error:
            raise FailureError(f"nothing is known of job {job}: cannot read {path}: {error.strerror}") from None
        except msgspec.DecodeError:
            raise FailureError(f"{path} is damaged") from None

    def remove(self, job: str) -> None:
        """Raises `FailureError`."""
        try:
            self._path(job).unlink(missing_ok=True)
        except OSError as error:
            raise FailureError(f"cannot delete {self._path(job)}: {error.strerror}") from None

    def _path(self, job: str) -> Path:
        if not JOB.fullmatch(job):
            raise FailureError(f"{job!r} is no number of a job")
        return self._directory / f"{job}.json"


def chosen(named: str, uuids: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """UUIDs of the GPUs that a scheduler names: `0,2-3`, or UUIDs; `uuids` are those of the machine by index. Raises
    `FailureError`."""
    by_index, found = dict(uuids), list[str]()
    for word in filter(None, (part.strip() for part in named.split(","))):
        if word in by_index.values():
            found.append(word)
            continue
        indices = _indices(word)
        if indices is None or not set(indices) <= by_index.keys():
            raise FailureError(f"no GPU {word!r} on this machine: it has {_told(by_index)}")
        found += [by_index[index] for index in indices]
    if not found:
        raise FailureError("no GPU was named")
    return tuple(dict.fromkeys(found))


def _indices(word: str) -> Collection[int] | None:
    match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", word, re.ASCII)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, last + 1) if first <= last < first + GPUS_MAX else None


def _told(by_index: dict[int, str]) -> str:
    return ", ".join(map(str, sorted(by_index))) if by_index else "none"


def tell(access: Access, host: str, tenant: str, allocation: Allocation, until: int | None) -> None:
    """Writes a row for every GPU; `until` is None while the job has them. Raises `FailureError`."""
    origin = Origin("", host, tenant)
    common = {"tenant": tenant, "host": host, "scheduler": allocation.scheduler, "job": allocation.job}
    common |= {"since": whole_time(allocation.since), "user": allocation.user}
    common |= {"until": None if until is None else whole_time(max(until, allocation.since))}
    rows = [common | {"gpu_uuid": uuid} for uuid in allocation.gpu_uuids]
    batch = make_batch(f"{host}/{allocation.scheduler}/{allocation.job}", [{ALLOCATION.name: rows}])
    connection = EngineConnection(access)
    try:
        Delivery(batch, origin).insert(connection)
    finally:
        connection.close()
