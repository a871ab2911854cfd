"""Reading one tier: its chunks as if they were one."""

from collections.abc import Iterator
from pathlib import Path

from blackbox.recorder.storage.chunk_cache import NO_RANGE, ChunkCache, KeptChunk, KeptRun
from blackbox.recorder.storage.chunk_reader import ChunkReader
from blackbox.recorder.storage.directory import ChunkFile, chunk_files
from blackbox.recorder.storage.frames import Frame
from blackbox.recorder.storage.rows import Run
from blackbox.recorder.storage.tiers import Tier


class TierReader:
    """The chunks of a tier as they are when they are asked for. Never raises over their content."""

    def __init__(self, directory: Path, tier: Tier, cache: ChunkCache | None = None) -> None:
        """`cache`: for what stands still, where questions come again."""
        self.tier = tier
        self.damaged = 0
        """Records skipped so far."""
        self._directory = directory
        self._cache = cache

    def runs(self, since: float, until: float) -> Iterator[Run]:
        """Rows of the range, and neighbours of them, oldest chunk first."""
        for chunk in self._chunks(since, until):
            start, end = max(since, chunk.start), min(until, chunk.start + self.tier.chunk_seconds)
            known = None if self._cache is None else self._cache.find(chunk.path)
            if known is None or not known.covers(start, end):
                yield from self._read(chunk, start, end, known)
                continue
            for run in known.runs:
                yield run
                run.pack()

    def frames(self, since: float, until: float) -> Iterator[Frame]:
        """The moments of the range, oldest chunk first."""
        for chunk in self._chunks(since, until):
            with ChunkReader(chunk.path) as reader:
                yield from reader.frames(since, until)
                self.damaged += reader.damaged

    def newest_frame(self, until: float) -> Frame | None:
        """The last moment not after `until`."""
        found: Frame | None = None
        for chunk in reversed(self._chunks(float("-inf"), until)):
            if found is not None and chunk.start + self.tier.chunk_seconds <= found.time:
                break
            with ChunkReader(chunk.path) as reader:
                frame = reader.newest_frame(until)
                self.damaged += reader.damaged
            if frame is not None and (found is None or frame.time > found.time):
                found = frame
        return found

    def first(self) -> float | None:
        """Time of the oldest row."""
        return self._edge(self._chunks(), 0)

    def last(self, until: float = float("inf")) -> float | None:
        """Time of the last moment of the newest chunk that begins by `until`."""
        return self._edge(reversed(self._chunks(float("-inf"), until)), 1)

    def _edge(self, chunks: "Iterator[ChunkFile] | list[ChunkFile]", place: int) -> float | None:
        for chunk in chunks:
            edges = self._edges(chunk)
            if edges:
                return edges[place]
        return None

    def _edges(self, chunk: ChunkFile) -> tuple[float, ...]:
        known = None if self._cache is None else self._cache.find(chunk.path)
        if known is None:
            version = None if self._cache is None else self._cache.version(chunk.path)
            known = KeptChunk(version, None, *NO_RANGE)
        if known.edges is not None:
            return known.edges
        with ChunkReader(chunk.path) as reader:
            edges = reader.first_and_last() or ()
            self._done(reader, chunk, known._replace(edges=edges))
        return edges

    def _read(self, chunk: ChunkFile, since: float, until: float, known: KeptChunk | None) -> Iterator[Run]:
        """Rows of the range out of the file, to be kept with what is `known` of it. One block is unpacked at a time."""
        version = None if self._cache is None else self._cache.version(chunk.path)
        edges = None
        if known is not None:
            since, until = min(since, known.since), max(until, known.until)
            edges = known.edges if known.version == version else None
        runs: list[KeptRun] = []
        with ChunkReader(chunk.path) as reader:
            for run in reader.runs(since, until):
                if version is None:
                    yield run
                    continue
                runs.append(KeptRun(run))
                yield runs[-1]
                runs[-1].pack()
            self._done(reader, chunk, KeptChunk(version, edges, since, until, runs))

    def _done(self, reader: ChunkReader, chunk: ChunkFile, read: KeptChunk) -> None:
        """Counts the damage of what was read, and keeps it where there is none."""
        self.damaged += reader.damaged
        if self._cache is not None and not reader.damaged:
            self._cache.keep(chunk.path, read)

    def _chunks(self, since: float = float("-inf"), until: float = float("inf")) -> list[ChunkFile]:
        """By their names: a chunk holds nothing outside of its period."""
        length = self.tier.chunk_seconds
        return [
            chunk
            for chunk in chunk_files(self._directory, self.tier.name)
            if chunk.start <= until and chunk.start + length > since
        ]
