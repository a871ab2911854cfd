"""Which dumps stay: shares for owners and for kinds of events, so that no noise and no user pushes evidence out.

An owner is the user of the process a dump is about, or the machine. While all owners together fit, nobody's dumps
depend on another's; where they do not, the owner that holds the most gives way. Of an owner's dumps the kind with the
most gives way, and of a kind the one nearest to its predecessor (of equals the newest): the first and the last stay.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from blackbox.recorder.storage.dump_files import DumpFile, dumps_in

DUMPS_MAX = 40
"""In all: four owners at their own limit."""
OWNER_DUMPS_MAX = 10
"""Of one user, or of the machine."""
KIND_DUMPS_MAX = 5
"""Of one kind of event and owner: the first, the last, and some between tell how it went on."""
DUMPS_BYTES_MAX = 512 * 1024 * 1024
"""In all, beside the limit of the recording itself."""
OWNER_BYTES_MAX = DUMPS_BYTES_MAX // 4
"""Of one owner; a single dump may be larger."""
WEIGHTS = ("gpu_lost", "oom", "crash", "xid", "threshold")
"""Kinds of events, the one that tells most first: of two kinds with as many dumps, the later one gives way."""

Reason = Literal["kind_dumps", "owner_dumps", "owner_bytes", "dumps", "bytes"]
"""Whose limit was reached: the kind's of an owner, an owner's, that of all."""
REASON_TEXTS: Mapping[Reason, str] = {
    "kind_dumps": f"more than {KIND_DUMPS_MAX} dumps of that kind and owner",
    "owner_dumps": f"more than {OWNER_DUMPS_MAX} dumps of that owner",
    "owner_bytes": f"dumps of that owner take more than {OWNER_BYTES_MAX >> 20} MiB",
    "dumps": f"more than {DUMPS_MAX} dumps, and that owner has the most",
    "bytes": f"dumps take more than {DUMPS_BYTES_MAX >> 20} MiB, and those of that owner the most",
}

log = logging.getLogger(__name__)


class Evictions:
    """Dumps deleted since the start, by kind of event and reason. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, kind: str, reason: Reason) -> None:
        """Counts one."""
        with self._lock:
            self._counts[kind, reason] += 1

    def by_kind(self) -> dict[str, dict[str, int]]:
        """Kind -> reason -> dumps."""
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        with self._lock:
            for (kind, reason), count in sorted(self._counts.items()):
                found[kind][reason] = count
        return dict(found)


class HeldDump(NamedTuple):
    """A dump and its size."""

    dump: DumpFile
    bytes: int


def enforce(directory: Path, evictions: Evictions) -> None:
    """Deletes dumps until all limits are kept, each with its reason in the log; those made by hand stay.

    Raises `OSError`.
    """
    held = [HeldDump(dump, _size(dump.path)) for dump in dumps_in(directory) if dump.kind in WEIGHTS]
    while (found := next_to_go(held)) is not None:
        gone, reason = found
        gone.dump.path.unlink(missing_ok=True)
        evictions.add(gone.dump.kind, reason)
        log.warning("the dump %s is deleted: %s", gone.dump.path.name, REASON_TEXTS[reason])
        held.remove(gone)


def next_to_go(held: Collection[HeldDump]) -> tuple[HeldDump, Reason] | None:
    """The dump to delete first, and why; None while all limits are kept. `held` is oldest first."""
    owners: defaultdict[int | None, list[HeldDump]] = defaultdict(list)
    for one in held:
        owners[one.dump.uid].append(one)
    for own in owners.values():
        for kind in _by_kind(own).values():
            if len(kind) > KIND_DUMPS_MAX:
                return _thinned(kind), "kind_dumps"
        if len(own) > OWNER_DUMPS_MAX:
            return _of_owner(own), "owner_dumps"
        if len(own) > 1 and _bytes(own) > OWNER_BYTES_MAX:
            return _of_owner(own), "owner_bytes"
    if len(held) > DUMPS_MAX:
        return _of_owner(_largest(owners.values(), len)), "dumps"
    if len(held) > 1 and _bytes(held) > DUMPS_BYTES_MAX:
        return _of_owner(_largest(owners.values(), _bytes)), "bytes"
    return None


def _largest(owners: Collection[list[HeldDump]], size: Callable[[list[HeldDump]], int]) -> list[HeldDump]:
    """The owner that holds the most; of equals the one whose dump is the newest, as nobody makes way for it."""
    return max(owners, key=lambda own: (size(own), own[-1].dump.number))


def _of_owner(own: list[HeldDump]) -> HeldDump:
    """The one of an owner's dumps to go; the newest only where it is the only one."""
    newest = own[-1]
    kinds = [kind for kind in _by_kind(own).values() if kind != [newest] or len(own) == 1]
    noisiest = max(kinds, key=lambda kind: (len(kind), WEIGHTS.index(kind[0].dump.kind)))
    return _thinned(noisiest)


def _thinned(kind: list[HeldDump]) -> HeldDump:
    """The one of alike dumps to go: neither the first nor the last, if there are others."""
    if len(kind) <= 2:
        return kind[0]
    gaps = [(abs(one.dump.time - before.dump.time), -place) for place, (before, one) in enumerate(pairwise(kind[:-1]))]
    return kind[1 - min(gaps)[1]]


def _by_kind(own: Collection[HeldDump]) -> dict[str, list[HeldDump]]:
    kinds: defaultdict[str, list[HeldDump]] = defaultdict(list)
    for one in own:
        kinds[one.dump.kind].append(one)
    return dict(kinds)


def _bytes(held: Collection[HeldDump]) -> int:
    return sum(one.bytes for one in held)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
