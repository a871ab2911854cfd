"""The dumps in a directory: what their names tell, and their order.

`oom-4711-20261122T120307Z-17-u1000.bbdump`: kind of event, process, time, number of the dump, owner of the process.
Dumps made by hand or by earlier versions lack the number and what follows.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from blackbox.model.times import file_stamp, of_file_stamp

DUMPS_DIRECTORY = "dumps"
"""Inside the data directory."""
DUMP_SUFFIX = ".bbdump"
PARTIAL_SUFFIX = ".part"
"""Behind the name of a dump, the pid of its writer and this, until it is whole."""
_NAME = re.compile(
    r"(?P<kind>[a-z_]+)(?:-(?P<pid>\d{1,10}))?-(?P<time>\d{8}T\d{6}Z)"
    r"(?:-(?P<number>\d{1,18})(?:-u(?P<uid>\d{1,10}))?)?" + re.escape(DUMP_SUFFIX)
)


class DumpFile(NamedTuple):
    """A dump, as far as its name tells. Number and time order the dumps of a directory."""

    number: int
    """The recorder's own count, which no clock and no program moves; 0 for dumps without one."""
    time: float
    """Unix seconds, by the server's clock."""
    kind: str
    pid: int | None
    uid: int | None
    """Owner of the process; None where it is about no process, or nobody told."""
    path: Path


def dump_name(about: str, timestamp: float) -> str:
    """`oom-4711-20261122T120307Z.bbdump`."""
    return f"{about}-{file_stamp(timestamp)}{DUMP_SUFFIX}"


def new_dump(directory: Path, kind: str, pid: int | None, uid: int | None, timestamp: float) -> DumpFile:
    """The next dump of a directory; its file is not made."""
    number = max((dump.number for dump in dumps_in(directory)), default=0) + 1
    about = kind if pid is None else f"{kind}-{pid}"
    owner = "" if uid is None else f"-u{uid}"
    stamp = file_stamp(timestamp)
    path = directory / f"{about}-{stamp}-{number}{owner}{DUMP_SUFFIX}"
    return DumpFile(number, timestamp, kind, pid, uid, path)


def dumps_in(directory: Path) -> list[DumpFile]:
    """The dumps of a directory that bear a name of ours, oldest first."""
    found = (_parse(path) for path in directory.glob(f"*{DUMP_SUFFIX}") if may_be_opened(path))
    return sorted(dump for dump in found if dump is not None)


def dump_files(directory: Path) -> list[Path]:
    """The same, their files alone."""
    return [dump.path for dump in dumps_in(directory)]


def may_be_opened(path: Path | os.DirEntry[str]) -> bool:
    """False of what is no file, such as a pipe, which opening would wait for: a directory may come from anyone."""
    try:
        return path.is_file()
    except OSError:
        return True  # whoever opens it is told why not


def _parse(path: Path) -> DumpFile | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        time = of_file_stamp(match["time"])
    except ValueError:
        return None
    pid, uid = (None if match[name] is None else int(match[name]) for name in ("pid", "uid"))
    return DumpFile(int(match["number"] or 0), time, match["kind"], pid, uid, path)
