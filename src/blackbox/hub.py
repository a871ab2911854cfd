"""The hub: the newest moment, merged and encoded once per shape, for every subscriber and every poller."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

import msgspec

from blackbox.merge import Merged, merged
from blackbox.merge.block_table import TableRows, Versions, table, table_rows
from blackbox.merge.coverage import coverage
from blackbox.model.about import Coverage
from blackbox.model.block_arrays import ListedBlocks
from blackbox.model.codec import compress
from blackbox.model.moment import Moment
from blackbox.model.parts import Blocks
from blackbox.model.sample import Sample
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import Encoding, Shape, UnknownGpuError
from blackbox.model.visibility import sees_all

BLOCKS_MAX = 100_000
"""Blocks in one answer: 11 MB of JSON. What is above is cut from the answer, never from the sums."""
HISTORY_MOMENTS_MAX = 120
"""One minute at the default interval: a stream client that reconnects within it misses nothing."""
HISTORY_BYTES_MAX = 16 * 1024 * 1024
"""Memory for that minute; machines with many blocks keep a shorter one."""
KEPT_BODY_BYTES = 256 * 1024
"""A longer body of a moment that is no longer the newest is mostly blocks, whose JSON is kept with their report: who
asks for it again has it joined again, and the next moment's body takes its memory."""
PART_BYTES = 250
"""A process row, a block, a page, a step of a trace or a stack in memory, about."""
UNSHOWN_ROWS = 5
"""Blocks that are held as arrays take as much, where no snapshot makes rows of them: those of failed allocations."""
SHAPES_MAX = 16
"""Shapes and encodings made ahead, on the sampler's thread: on a machine with many processes each takes it some
milliseconds. Askers beyond wait for their own encoding."""
HOT_SECONDS = 5.0
"""A shape nobody asked for this long is no longer encoded ahead."""


class Published:
    """One moment and all its encodings made so far."""

    def __init__(
        self, moment: Moment, blocks_max: int, start_id: str = "", before: frozenset[int] = frozenset()
    ) -> None:
        """`start_id` tells the moments of one start of the server from those of another. `before`: ids of the pieces
        that the moment before is made of, and weighs."""
        self.moment = moment
        self.version = f"{start_id}-{moment.seq}"
        self._blocks_max = blocks_max
        self._part_count = sum(map(_part_count, moment.samples))
        self._lock = threading.Lock()
        self._is_newest = True
        self._merged: dict[tuple[str | None, int | None], Merged] = {}
        """By GPU and viewer; a viewer from whom nothing is withheld is None."""
        self._tables: dict[tuple[str | None, int | None], TableRows] = {}
        """Likewise: the blocks, packed."""
        self._versions: dict[tuple[str | None, int | None], Versions] = {}
        """Likewise, and kept: which packed rows were in the tables."""
        self._snapshots: dict[Shape, Snapshot] = {}
        self._bodies: dict[tuple[Shape, Encoding], bytes] = {}
        self._pieces: dict[Shape, tuple[bytes, ...]] = {}
        """Bodies that nobody needed whole: most of their bytes are those of the moments before and after."""
        self._before = before
        self._piece_bytes = 0
        """Without those of the moment before."""

    def snapshot(self, shape: Shape) -> Snapshot:
        """The moment in one shape. Raises `UnknownGpuError`."""
        with self._lock:
            return self._snapshot(shape)

    def body(self, shape: Shape, encoding: Encoding = "identity") -> bytes:
        """JSON of the moment in one shape and encoding. Raises `UnknownGpuError`."""
        with self._lock:
            return self._body(shape, encoding)

    def pieces(self, shape: Shape) -> tuple[bytes, ...]:
        """`body`, in pieces, of which moments share those that are the same. Raises `UnknownGpuError`."""
        with self._lock:
            return self._in_pieces(shape)

    def piece_ids(self) -> frozenset[int]:
        """Of the pieces made so far; they mean something as long as this object lives."""
        return frozenset(map(id, chain.from_iterable(tuple(self._pieces.values()))))

    def forget_before(self) -> None:
        """The moment before is kept no more: it weighs nothing, and its ids may be those of other pieces soon."""
        with self._lock:
            self._before = frozenset[int]()
            pieces = {id(piece): len(piece) for pieces in self._pieces.values() for piece in pieces}
            self._piece_bytes = sum(pieces.values())

    def effective_viewer(self, viewer_uid: int | None) -> int | None:
        """The viewer; None (one who may see everything) where nothing of this moment is withheld from them."""
        return None if sees_all(self.moment, viewer_uid) else viewer_uid

    def merged(self) -> Snapshot:
        """The whole moment as somebody who may see everything gets it, but for its blocks, which are counted."""
        with self._lock:
            return self._merge(None, None).bare

    def merged_already(self) -> Snapshot | None:
        """The same if somebody asked for it already; never waits."""
        known = self._merged.get((None, None))
        return None if known is None else known.bare

    def changed_columns(self, shape: Shape, before: "Published") -> bytes:
        """The columns without the parts that are the same in the columns of a moment before. Raises
        `UnknownGpuError`."""
        with self._lock:
            known = before._versions.get(self._seen_by(shape))
            since = None if known is None else before.version
            return table(*self._table(shape), self.version, since, known)

    def retire(self) -> None:
        """Drops what only the newest moment needs. Waits for an encoding under way."""
        with self._lock:
            self._is_newest = False
            self._snapshots.clear()
            self._merged.clear()
            self._tables.clear()
            self._bodies = {key: body for key, body in self._bodies.items() if len(body) <= KEPT_BODY_BYTES}

    def weight_bytes(self) -> int:
        """Memory this moment takes, about."""
        return self._part_count * PART_BYTES + self._piece_bytes + sum(map(len, tuple(self._bodies.values())))

    def made(self, shape: Shape, encoding: Encoding = "identity") -> bytes | None:
        """The body if it is made already; never waits, so an event loop may ask."""
        return self._bodies.get((shape, encoding))

    def made_pieces(self, shape: Shape) -> tuple[bytes, ...] | None:
        """Likewise for `pieces`."""
        body = self._bodies.get((shape, "identity"))
        return self._pieces.get(shape) if body is None else (body,)

    def _snapshot(self, shape: Shape) -> Snapshot:
        if (known := self._snapshots.get(shape)) is not None:
            return known
        snapshot = self._merge(shape.gpu, shape.viewer_uid).shaped(shape.blocks, self._blocks_max)
        if self._is_newest:
            self._snapshots[shape] = snapshot
        return snapshot

    def _merge(self, gpu: str | None, viewer_uid: int | None) -> Merged:
        key = gpu, self.effective_viewer(viewer_uid)
        if (known := self._merged.get(key)) is not None:
            return known
        made = merged(self.moment, *key)
        if self._is_newest:
            self._merged[key] = made
        return made

    def _seen_by(self, shape: Shape) -> tuple[str | None, int | None]:
        return shape.gpu, self.effective_viewer(shape.viewer_uid)

    def _table(self, shape: Shape) -> tuple[Snapshot, TableRows]:
        key = self._seen_by(shape)
        made = self._merge(*key)
        if (known := self._tables.get(key)) is not None:
            return made.bare, known
        rows = table_rows(made.rows, self._blocks_max)
        if self._is_newest:
            self._tables[key] = rows
            self._versions[key] = rows.versions
        return made.bare, rows

    def _coverage(self, shape: Shape) -> bytes:
        made = self._merge(shape.gpu, shape.viewer_uid)
        snapshot = made.bare
        found = coverage(made.rows, snapshot.nsight_metrics)
        return msgspec.json.encode(Coverage(seq=snapshot.seq, timestamp=snapshot.timestamp, processes=found))

    def _body(self, shape: Shape, encoding: Encoding) -> bytes:
        key = shape, encoding
        if key not in self._bodies:
            whole = b"".join(self._in_pieces(shape)) if encoding == "identity" else self._body(shape, "identity")
            body = compress(whole, encoding)
            if not self._is_newest:
                return body  # whoever asks for an old moment keeps what it needs
            self._bodies[key] = body
        return self._bodies[key]

    def _in_pieces(self, shape: Shape) -> tuple[bytes, ...]:
        known = self.made_pieces(shape)
        if known is not None:
            return known
        pieces = self._plain(shape)
        if self._is_newest:
            self._pieces[shape] = pieces
            lengths = dict(zip(map(id, pieces), map(len, pieces), strict=True))
            self._piece_bytes += sum(map(lengths.__getitem__, lengths.keys() - self._before))
        return pieces

    def _plain(self, shape: Shape) -> tuple[bytes, ...]:
        if shape.blocks == "columns":
            return (table(*self._table(shape), self.version),)
        if shape.blocks == "coverage":
            return (self._coverage(shape),)
        return self._merge(shape.gpu, shape.viewer_uid).json_pieces(shape.blocks, self._blocks_max)


def _part_count(sample: Sample) -> int:
    """What the sample holds many of: processes; blocks, pages and stacks, those of failed allocations too; steps."""
    ooms = [event.oom for event in sample.events if event.oom is not None]
    refused = [oom.allocator for oom in ooms if oom.allocator is not None]
    return (
        len(sample.processes)
        + sum(len(one.blocks or ()) + len(one.stacks or ()) for one in sample.allocators)
        + sum(_refused_parts(one.blocks or ()) + len(one.stacks or ()) for one in refused)
        + sum(len(pool.pages) for one in (*sample.allocators, *refused) for pool in one.kv_pools)
        + sum(len(oom.trace) + len(oom.stacks) + len(oom.segments) + len(oom.scopes) for oom in ooms)
    )


def _refused_parts(blocks: Blocks) -> int:
    return len(blocks) // UNSHOWN_ROWS if isinstance(blocks, ListedBlocks) else len(blocks)


Subscriber = Callable[[Published], None]


class Hub:
    """Takes moments from the sampler's thread, serves any thread. Never waits for a subscriber."""

    def __init__(self, clock: Callable[[], float], blocks_max: int = BLOCKS_MAX) -> None:
        self._clock = clock
        self._blocks_max = blocks_max
        self.start_id = os.urandom(4).hex()
        """Different for every start, so that versions and entity tags of another start never match."""
        self._latest: Published | None = None
        self._history: deque[Published] = deque()
        self._past_bytes = 0
        """What the moments of the history weigh, but for the newest: it may yet gain weight."""
        self._asked_at: dict[tuple[Shape, Encoding], float] = {}
        self._subscribers: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    @property
    def latest(self) -> Published | None:
        """The newest moment; None before the first."""
        return self._latest

    def publish(self, moment: Moment) -> None:
        """Makes `moment` the newest, encodes it in the shapes in demand, and tells every subscriber."""
        before = frozenset[int]() if self._latest is None else self._latest.piece_ids()
        published = Published(moment, self._blocks_max, self.start_id, before)
        for shape, encoding in self._hot():
            try:
                published.body(shape, encoding)
            except UnknownGpuError:
                self._forget(shape)
        with self._lock:
            previous, self._latest = self._latest, published
            self._history.append(published)
        for subscriber in self._subscribers:
            subscriber(published)
        if previous is not None:
            previous.retire()
        self._shorten_history(previous)

    def ask(self, shape: Shape, encoding: Encoding = "identity") -> bytes | None:
        """The newest body in this shape, which stays in demand; None before the first moment.

        Raises `UnknownGpuError`.
        """
        latest = self._latest
        if latest is None:
            return None
        body = latest.body(shape, encoding)
        self.demand(shape, encoding)
        return body

    def after(self, seq: int) -> Published | None:
        """The oldest kept moment after `seq`; None where there is none."""
        with self._lock:
            return next((published for published in self._history if published.moment.seq > seq), None)

    def of_version(self, version: str) -> Published | None:
        """The kept moment of this version; None where there is none."""
        with self._lock:
            return next((published for published in reversed(self._history) if published.version == version), None)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Calls `subscriber` with every new moment, on the publishing thread; returns the way to stop that.

        A subscriber must neither block nor raise.
        """
        with self._lock:
            self._subscribers += (subscriber,)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)

        return unsubscribe

    def _shorten_history(self, retired: Published | None) -> None:
        """`retired` is the last but one."""
        with self._lock:
            newest = self._history[-1]
            self._past_bytes += 0 if retired is None else retired.weight_bytes()
            room = HISTORY_BYTES_MAX - newest.weight_bytes()
            while len(self._history) > 1 and (self._past_bytes > room or len(self._history) > HISTORY_MOMENTS_MAX):
                self._past_bytes -= self._history.popleft().weight_bytes()
            is_alone = len(self._history) == 1
        if is_alone:
            newest.forget_before()

    def demand(self, shape: Shape, encoding: Encoding) -> None:
        """Keeps a shape encoded ahead for the next `HOT_SECONDS`."""
        with self._lock:
            if (shape, encoding) in self._asked_at or len(self._asked_at) < SHAPES_MAX:
                self._asked_at[shape, encoding] = self._clock()

    def _hot(self) -> Iterator[tuple[Shape, Encoding]]:
        oldest = self._clock() - HOT_SECONDS
        with self._lock:
            self._asked_at = {key: at for key, at in self._asked_at.items() if at >= oldest}
            return iter(tuple(self._asked_at))

    def _forget(self, shape: Shape) -> None:
        with self._lock:
            self._asked_at = {key: at for key, at in self._asked_at.items() if key[0] != shape}
