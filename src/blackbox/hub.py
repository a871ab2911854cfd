"""The hub: the newest moment, merged and encoded once per shape, for every subscriber and every poller."""

import threading
from collections import deque
from collections.abc import Callable, Iterator

from blackbox.merge import merge
from blackbox.merge.selection import sees_all
from blackbox.model.codec import compress, to_json
from blackbox.model.moment import Moment
from blackbox.model.snapshot import Snapshot
from blackbox.model.view import Encoding, Shape, UnknownGpuError, with_blocks

BLOCKS_MAX = 100_000
"""Blocks in one answer: 11 MB of JSON. What is above is cut from the answer, never from the sums."""
HISTORY_MOMENTS_MAX = 120
"""One minute at the default interval: a stream client that reconnects within it misses nothing."""
HISTORY_BYTES_MAX = 16 * 1024 * 1024
"""Memory for that minute; machines with many blocks keep a shorter one."""
PART_BYTES = 250
"""A process row or a block in memory, about."""
SHAPES_MAX = 16
"""Shapes and encodings made ahead, on the sampler's thread: on a machine with many processes each takes it some
milliseconds. Askers beyond wait for their own encoding."""
HOT_SECONDS = 5.0
"""A shape nobody asked for this long is no longer encoded ahead."""


class Published:
    """One moment and all its encodings made so far."""

    def __init__(self, moment: Moment, blocks_max: int) -> None:
        self.moment = moment
        self._blocks_max = blocks_max
        self._lock = threading.Lock()
        self._is_newest = True
        self._merged: dict[tuple[str | None, int | None], Snapshot] = {}
        """By GPU and viewer; a viewer from whom nothing is withheld is None."""
        self._snapshots: dict[Shape, Snapshot] = {}
        self._bodies: dict[tuple[Shape, Encoding], bytes] = {}

    def snapshot(self, shape: Shape) -> Snapshot:
        """The moment in one shape. Raises `UnknownGpuError`."""
        with self._lock:
            return self._snapshot(shape)

    def body(self, shape: Shape, encoding: Encoding = "identity") -> bytes:
        """JSON of the moment in one shape and encoding. Raises `UnknownGpuError`."""
        with self._lock:
            return self._body(shape, encoding)

    def merged(self) -> Snapshot:
        """The whole moment as somebody who may see everything gets it, with every block."""
        with self._lock:
            return self._merge(None, None)

    def merged_already(self) -> Snapshot | None:
        """The same if somebody asked for it already; never waits."""
        return self._merged.get((None, None))

    def retire(self) -> None:
        """Drops what only the newest moment needs. Waits for an encoding under way."""
        with self._lock:
            self._is_newest = False
            self._snapshots.clear()
            self._merged.clear()

    def weight_bytes(self) -> int:
        """Memory this moment takes, about."""
        samples = self.moment.samples
        parts = sum(len(sample.processes) for sample in samples)
        parts += sum(len(allocator.blocks or ()) for sample in samples for allocator in sample.allocators)
        return parts * PART_BYTES + sum(map(len, tuple(self._bodies.values())))

    def made(self, shape: Shape, encoding: Encoding = "identity") -> bytes | None:
        """The body if it is made already; never waits, so an event loop may ask."""
        return self._bodies.get((shape, encoding))

    def _snapshot(self, shape: Shape) -> Snapshot:
        if (known := self._snapshots.get(shape)) is not None:
            return known
        snapshot = with_blocks(self._merge(shape.gpu, shape.viewer_uid), shape.blocks, self._blocks_max)
        if self._is_newest:
            self._snapshots[shape] = snapshot
        return snapshot

    def _merge(self, gpu: str | None, viewer_uid: int | None) -> Snapshot:
        viewer_uid = None if sees_all(self.moment, viewer_uid) else viewer_uid
        if (known := self._merged.get((gpu, viewer_uid))) is not None:
            return known
        snapshot = merge(self.moment, gpu, viewer_uid)
        if self._is_newest:
            self._merged[gpu, viewer_uid] = snapshot
        return snapshot

    def _body(self, shape: Shape, encoding: Encoding) -> bytes:
        key = shape, encoding
        if key not in self._bodies:
            plain = to_json(self._snapshot(shape)) if encoding == "identity" else self._body(shape, "identity")
            body = compress(plain, encoding)
            if not self._is_newest:
                return body  # whoever asks for an old moment keeps what it needs
            self._bodies[key] = body
        return self._bodies[key]


Subscriber = Callable[[Published], None]


class Hub:
    """Takes moments from the sampler's thread, serves any thread. Never waits for a subscriber."""

    def __init__(self, clock: Callable[[], float], blocks_max: int = BLOCKS_MAX) -> None:
        self._clock = clock
        self._blocks_max = blocks_max
        self._latest: Published | None = None
        self._history: deque[Published] = deque(maxlen=HISTORY_MOMENTS_MAX)
        self._asked_at: dict[tuple[Shape, Encoding], float] = {}
        self._subscribers: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    @property
    def latest(self) -> Published | None:
        """The newest moment; None before the first."""
        return self._latest

    def publish(self, moment: Moment) -> None:
        """Makes `moment` the newest, encodes it in the shapes in demand, and tells every subscriber."""
        published = Published(moment, self._blocks_max)
        for shape, encoding in self._hot():
            try:
                published.body(shape, encoding)
            except UnknownGpuError:
                self._forget(shape)
        with self._lock:
            previous, self._latest = self._latest, published
            self._history.append(published)
            self._shorten_history()
        for subscriber in self._subscribers:
            subscriber(published)
        if previous is not None:
            previous.retire()

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

    def _shorten_history(self) -> None:
        weight = sum(published.weight_bytes() for published in self._history)
        while weight > HISTORY_BYTES_MAX and len(self._history) > 1:
            weight -= self._history.popleft().weight_bytes()

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
