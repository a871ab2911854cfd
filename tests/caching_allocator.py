"""A model of PyTorch's caching allocator that records its steps, and writes them as each release does.

Made from what the allocator is known to do, and from none of the code that reads its files: it keeps the
true sums after every step, so that a reader can be held against them.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MIB = 1 << 20
Frames = list[dict[str, Any]]
Version = tuple[int, int]
POOL = (0, 0)
ROOM_BYTES = 1 << 40
"""Of one expandable segment: more than any device has."""
STATES = {"active": "active_allocated", "pending": "active_pending_free", "free": "inactive"}
OLD_VERSIONS: tuple[Version, ...] = ((1, 12), (1, 13))
"""Which write no trace, and a bare list of segments."""
VERSIONS: tuple[Version, ...] = ((2, 0), (2, 1), (2, 2), (2, 3), (2, 5), (2, 8), (2, 10), (2, 12), (2, 14), (2, 15))


class RefusedError(Exception):
    """Out of memory."""


class Key(NamedTuple):
    """Who may use a block."""

    small: bool
    stream: int
    pool: tuple[int, int]


class Sums(NamedTuple):
    allocated: int
    active: int
    reserved: int
    requested: int


@dataclass
class Block:
    address: int
    size: int
    key: Key
    state: str = "free"
    """free, active, pending, unmapped"""
    requested: int = 0
    """Of a free block that of its last tenant, as PyTorch leaves it."""
    frames: Frames = field(default_factory=list)


@dataclass
class Segment:
    address: int
    key: Key
    expandable: bool
    blocks: list[Block]
    """In order, without gaps."""
    frames: Frames = field(default_factory=list)


Checkpoint = list[tuple[Segment, list[tuple[int, bool, Frames]]]]
"""Segments of a pool, and of each block its size, whether it lives, and who allocated it."""


class CachingAllocator:
    """One device."""

    def __init__(
        self,
        capacity: int = 1 << 40,
        *,
        expandable: bool = False,
        max_split: int | None = None,
        divisions: dict[str, int] | None = None,
        start: int = 0x7F0000000000,
        gap: int = 0,
    ) -> None:
        self.capacity, self.expandable, self.max_split = capacity, expandable, max_split
        self.divisions = divisions or {}
        self.segments: list[Segment] = []
        self.entries: list[dict[str, Any]] = []
        self.sums: list[Sums] = []
        """After each entry."""
        self.before: Sums = Sums(0, 0, 0, 0)
        """Before the first entry."""
        self.recording = True
        self.free_recorded = True
        """False: up to 2.0, what was allocated before the recording is freed without an entry."""
        self._unrecorded: set[int] = set()
        self._next, self._gap, self._time = start, gap, 1_790_000_000_000_000
        self.tag = ""
        self.free_at: dict[int, list[int]] = {}
        """By the time of a refusal: the free blocks that might have served it, each too small."""

    # what a program does

    def alloc(self, requested: int, stream: int = 0, pool: tuple[int, int] = POOL, frames: Frames | None = None) -> int:
        frames = frames or []
        size = self.round(requested)
        key = Key(size <= MIB, stream, pool)
        block = self._best(key, size)
        if block is None:
            block = self._grow(key, size, frames)
        if block is None:
            self.empty_cache()
            block = self._grow(key, size, frames)
        if block is None:
            self._write("oom", None, size, stream, pool, frames, device_free=self.capacity - self.reserved)
            self.free_at[self._time] = [
                block.size
                for block in self._blocks()
                if block.state == "free" and block.key == key and self._may(block, size)
            ]
            raise RefusedError
        self._take(block, size, requested, frames)
        self._write("alloc", block.address, requested, stream, pool, frames)
        if not self.recording:
            self._unrecorded.add(block.address)
        return block.address

    def free(self, address: int, later: bool = False, frames: Frames | None = None) -> None:
        """`later`: another stream still uses it; `complete` ends that."""
        block = self._at(address)
        assert block.state == "active"
        block.state = "pending"
        if self._told(address):
            self._write("free_requested", address, block.requested, block.key.stream, block.key.pool, frames or [])
        if not later:
            self.complete(address, frames)

    def complete(self, address: int, frames: Frames | None = None) -> None:
        block = self._at(address)
        assert block.state == "pending"
        told = self._told(address)
        requested, key = block.requested, block.key
        block.state = "free"
        self._merge(block)
        if told:
            self._write("free_completed", address, requested, key.stream, key.pool, frames or [])
        self._unrecorded.discard(address)

    def empty_cache(self) -> None:
        for segment in list(self.segments):
            if segment.expandable:
                self._unmap_free(segment)
            elif len(segment.blocks) == 1 and segment.blocks[0].state == "free":
                self.segments.remove(segment)
                size = segment.blocks[0].size
                self._write("segment_free", segment.address, size, segment.key.stream, segment.key.pool, segment.frames)

    def note_snapshot(self) -> None:
        """What an earlier dump leaves behind."""
        self._write("snapshot", 0, self._sums().active, 0, POOL, [])

    def checkpoint(self, pool: tuple[int, int]) -> Checkpoint:
        """The layout of a private pool, as a tree of CUDA graphs keeps it."""
        return [
            (segment, [(block.size, block.state == "active", block.frames) for block in segment.blocks])
            for segment in self.segments
            if segment.key.pool == pool and not segment.expandable
        ]

    def restore(self, kept: Checkpoint, frames: Frames | None = None) -> None:
        """Makes the layout anew: every block is allocated with its own size, and the free ones are freed again."""
        for segment, _ in kept:
            for block in [block for block in segment.blocks if block.state == "active"]:
                self.free(block.address, frames=frames)
        for segment, blocks in kept:
            assert len(segment.blocks) == 1
            at = segment.address
            spare: list[int] = []
            for size, is_active, allocated_by in blocks:
                block = self._at(at)
                if size < block.size:
                    rest = Block(at + size, block.size - size, block.key, requested=block.requested)
                    segment.blocks.append(rest)
                    block.size = size
                block.state, block.requested, block.frames = "active", size, allocated_by
                self._write("alloc", at, size, segment.key.stream, segment.key.pool, allocated_by)
                if not is_active:
                    spare.append(at)
                at += size
            for address in spare:
                self.free(address, frames=frames)

    # sizes

    def round(self, requested: int) -> int:
        if requested < 512:
            return 512
        divisions = self.divisions.get(str(max(1, 1 << min(15, max(0, requested.bit_length() - 21)))), 0)
        if divisions > 1 and requested > 512 * divisions:
            power = 1
            while power * 2 <= requested:
                power *= 2
            step = power // divisions
            if requested == power:
                return requested
            return requested + (-requested) % step if step else power * 2
        return requested + (-requested) % 512

    @property
    def reserved(self) -> int:
        return sum(block.size for block in self._blocks() if block.state != "unmapped")

    def _sums(self) -> Sums:
        active = [block for block in self._blocks() if block.state in ("active", "pending")]
        held = [block for block in active if block.state == "active"]
        return Sums(
            sum(block.size for block in held),
            sum(block.size for block in active),
            self.reserved,
            sum(block.requested for block in held),
        )

    def _blocks(self) -> list[Block]:
        return [block for segment in self.segments for block in segment.blocks]

    def _at(self, address: int) -> Block:
        return next(block for block in self._blocks() if block.address == address)

    def _owner(self, block: Block) -> Segment:
        return next(segment for segment in self.segments if any(each is block for each in segment.blocks))

    def _told(self, address: int) -> bool:
        return self.free_recorded or address not in self._unrecorded

    # blocks

    def _best(self, key: Key, size: int) -> Block | None:
        fits = [b for b in self._blocks() if b.state == "free" and b.key == key and b.size >= size]
        block = min(fits, key=lambda b: (b.size, b.address), default=None)
        return block if block is not None and self._may(block, size) else None

    def _may(self, block: Block, size: int) -> bool:
        """Whether `max_split_size` lets a block serve so many bytes."""
        limit = self.max_split
        if limit is None:
            return True
        return block.size < (limit if size < limit else size + 20 * MIB)

    def _take(self, block: Block, size: int, requested: int, frames: Frames) -> None:
        rest = block.size - size
        if block.key.small or self.expandable:
            split = rest >= 512
        else:
            split = rest > MIB and (self.max_split is None or size < self.max_split)
        if split:
            owner = self._owner(block)
            place = next(place for place, each in enumerate(owner.blocks) if each is block)
            tail = Block(block.address + size, rest, block.key, requested=block.requested)
            owner.blocks.insert(place + 1, tail)
            block.size = size
        block.state, block.requested, block.frames = "active", requested, frames

    def _merge(self, block: Block) -> None:
        """With free neighbours of the same segment."""
        owner = self._owner(block)
        place = next(place for place, each in enumerate(owner.blocks) if each is block)
        if place + 1 < len(owner.blocks) and owner.blocks[place + 1].state == block.state:
            block.size += owner.blocks.pop(place + 1).size
        if place and owner.blocks[place - 1].state == block.state:
            before = owner.blocks[place - 1]
            before.size += block.size
            del owner.blocks[place]

    # the driver

    def _grow(self, key: Key, size: int, frames: Frames) -> Block | None:
        if self.expandable:
            return self._map(key, size, frames)
        amount = 2 * MIB if key.small else 20 * MIB if size < 10 * MIB else size + (-size) % (2 * MIB)
        if self.reserved + amount > self.capacity:
            return None
        block = Block(self._next, amount, key)
        self._next += amount + self._gap
        self.segments.append(Segment(block.address, key, False, [block], frames))
        self._write("segment_alloc", block.address, amount, key.stream, key.pool, frames)
        return block

    def _map(self, key: Key, size: int, frames: Frames) -> Block | None:
        page = 2 * MIB if key.small else 20 * MIB
        room = next((s for s in self.segments if s.expandable and s.key == key), None)
        if room is None:
            room = Segment(self._next, key, True, [Block(self._next, ROOM_BYTES, key, "unmapped")], frames)
            self._next += ROOM_BYTES
            self.segments.append(room)
        place = self._first_fit(room, size)
        free = room.blocks[place] if room.blocks[place].state == "free" else None
        unmapped = room.blocks[place + 1] if free is not None else room.blocks[place]
        missing = size - (free.size if free is not None else 0)
        if free is not None and missing <= 0:
            return free
        amount = missing + (-missing) % page
        if self.reserved + amount > self.capacity or amount > unmapped.size:
            return None
        mapped = Block(unmapped.address, amount, key)
        room.blocks.insert(room.blocks.index(unmapped), mapped)
        unmapped.address += amount
        unmapped.size -= amount
        if not unmapped.size:
            room.blocks.remove(unmapped)
        address = mapped.address if free is None else free.address
        self._merge(mapped)
        self._write("segment_map", mapped.address, amount, key.stream, key.pool, frames)
        return next(block for block in room.blocks if block.address == address)

    def _first_fit(self, room: Segment, size: int) -> int:
        """A free block with unmapped memory behind it, or unmapped memory, large enough together."""
        for place, block in enumerate(room.blocks):
            after = room.blocks[place + 1] if place + 1 < len(room.blocks) else None
            if block.state == "free" and after is not None and after.state == "unmapped":
                if block.size + after.size >= size:
                    return place
            elif block.state == "unmapped" and block.size >= size + 20 * MIB:
                return place
        raise AssertionError("a room has no end")

    def _unmap_free(self, room: Segment) -> None:
        page = 2 * MIB if room.key.small else 20 * MIB
        for block in [block for block in room.blocks if block.state == "free"]:
            first = room.address + (block.address - room.address + page - 1) // page * page
            last = room.address + (block.address + block.size - room.address) // page * page
            if first >= last:
                continue
            place = next(place for place, each in enumerate(room.blocks) if each is block)
            parts = [Block(first, last - first, room.key, "unmapped")]
            if block.address < first:
                parts.insert(0, Block(block.address, first - block.address, room.key, requested=block.requested))
            if last < block.address + block.size:
                parts.append(Block(last, block.address + block.size - last, room.key, requested=block.requested))
            room.blocks[place : place + 1] = parts
            unmapped = next(part for part in parts if part.state == "unmapped")
            self._merge(unmapped)
            self._write("segment_unmap", first, last - first, room.key.stream, room.key.pool, room.frames)

    # the record

    def start_recording(self) -> None:
        self.recording, self.before = True, self._sums()

    def _write(
        self,
        action: str,
        address: int | None,
        size: int,
        stream: int,
        pool: tuple[int, int],
        frames: Frames,
        device_free: int | None = None,
    ) -> None:
        self._time += 3
        if not self.recording:
            return
        where = {"addr": address} if device_free is None else {"device_free": device_free}
        entry = {"action": action, **where, "size": size, "stream": stream, "time_us": self._time, "frames": frames}
        self.entries.append(entry | {"pool_id": pool, "user_metadata": self.tag})
        self.sums.append(self._sums())

    def keep_last(self, entries: int) -> None:
        """What a ring of that length has left."""
        lost = max(0, len(self.entries) - entries)
        if lost:
            self.before = self.sums[lost - 1]
            del self.entries[:lost], self.sums[:lost]

    # the file

    def snapshot(self, version: Version, device: int = 0, skipped: Collection[str] = ()) -> dict[str, Any]:
        """`skipped`: actions that the program did not want recorded (`skip_actions`, from 2.11 on)."""
        entries = [self._entry(entry, version) for entry in self.entries if entry["action"] not in skipped]
        written: dict[str, Any] = {
            "segments": self.listed(version, device),
            "device_traces": [[]] * device + [entries],
        }
        if version >= (2, 3):
            written["allocator_settings"] = {
                "PYTORCH_CUDA_ALLOC_CONF": "",
                "max_split_size": -1 if self.max_split is None else self.max_split,
                "expandable_segments": self.expandable,
                "roundup_power2_divisions": {str(1 << k): self.divisions.get(str(1 << k), 0) for k in range(16)},
            }
        if version >= (2, 5):
            written["external_annotations"] = []
        if version >= (2, 14):
            written |= {"host_segments": [], "host_traces": []}
        return written

    def listed(self, version: Version, device: int = 0) -> list[dict[str, Any]]:
        stretches = [stretch for segment in self.segments for stretch in _stretches(segment)]
        return [self._stretch(segment, blocks, version, device) for segment, blocks in stretches]

    def _entry(self, entry: dict[str, Any], version: Version) -> dict[str, Any]:
        kept: dict[str, Any] = {key: entry[key] for key in ("action", "addr", "device_free") if key in entry}
        kept |= {key: entry[key] for key in ("size", "stream")}
        optional: dict[str, tuple[Version, Any]] = {
            "time_us": ((2, 2), entry["time_us"]),
            "compile_context": ((2, 8), "N/A"),
            "user_metadata": ((2, 10), entry["user_metadata"]),
            "pool_id": ((2, 12), entry["pool_id"]),
        }
        kept |= {key: value for key, (since, value) in optional.items() if version >= since}
        return kept | ({"frames": entry["frames"]} if entry["frames"] else {})

    def _stretch(self, segment: Segment, blocks: list[Block], version: Version, device: int) -> dict[str, Any]:
        active = [block for block in blocks if block.state in ("active", "pending")]
        written: dict[str, Any] = {
            "device": device,
            "address": blocks[0].address,
            "total_size": sum(block.size for block in blocks),
            "allocated_size": sum(block.size for block in blocks if block.state == "active"),
            "active_size": sum(block.size for block in active),
            "stream": segment.key.stream,
            "segment_type": "small" if segment.key.small else "large",
            "blocks": [_written(block, version) for block in blocks],
        }
        if version >= (2, 0):
            written["requested_size"] = sum(block.requested for block in active)
        if version >= (2, 1):
            more = {"segment_pool_id": segment.key.pool, "is_expandable": segment.expandable, "frames": segment.frames}
            written |= more
        return written


def _stretches(segment: Segment) -> list[tuple[Segment, list[Block]]]:
    found: list[tuple[Segment, list[Block]]] = []
    mapped: list[Block] = []
    for block in [*segment.blocks, Block(0, 0, segment.key, "unmapped")]:
        if block.state != "unmapped":
            mapped.append(block)
        elif mapped:
            found.append((segment, mapped))
            mapped = []
    return found


def _written(block: Block, version: Version) -> dict[str, Any]:
    written: dict[str, Any] = {"size": block.size, "state": STATES[block.state]}
    if version >= (2, 0):
        written["requested_size"] = block.requested
    if version < (2, 1):
        if version < (1, 13):
            return written
        item = {"addr": block.address, "real_size": block.requested, "frames": block.frames}
        return written | {"history": [item] if block.state != "free" else []}
    return written | {"address": block.address, "frames": block.frames if block.state != "free" else []}
