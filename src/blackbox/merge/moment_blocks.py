"""All blocks of a moment: counted, as rows, and as JSON. Neither rows nor JSON are made before they are asked for."""

from collections.abc import Iterable, Sequence
from itertools import pairwise, starmap

from blackbox.merge.block_part import BlockPart, IdSpan, rows_texts
from blackbox.merge.blocks import with_distinct_ids
from blackbox.merge.known_blocks import BlockSum, Kind
from blackbox.merge.process_memory import ProcessMemory
from blackbox.model.block_arrays import ALIGNMENT_BYTES
from blackbox.model.parts import BlockType
from blackbox.model.snapshot import Block, BlockGroup

_GroupKey = tuple[int, int, BlockType, str, bool, bool]
"""GPU, pid, type, subtype, allocated, utilized."""


class MomentBlocks:
    """The blocks of every process. Its length is their number."""

    def __init__(self, processes: Iterable[ProcessMemory]) -> None:
        self._pieces: list[BlockPart | Block] = []
        """In order; a lone block is memory that no allocator explains."""
        parts: list[BlockPart] = []
        opaque: list[Block] = []
        for process in processes:
            self._pieces += process.parts
            parts += process.parts
            if process.opaque is not None:
                self._pieces.append(process.opaque)
                opaque.append(process.opaque)
        self._count = len(opaque) + sum(map(len, parts))
        self.utilized_count = len(opaque) + sum(part.utilized.blocks for part in parts)
        self.utilized_bytes = sum([block.size for block in opaque]) + sum(part.utilized.bytes for part in parts)

    def __len__(self) -> int:
        return self._count

    def rows(self) -> tuple[Block, ...]:
        """Every block, each with an id of its own."""
        rows: list[Block] = []
        for piece in self._pieces:
            rows += _rows(piece)
        return with_distinct_ids(tuple(rows))

    def json(self, rows_max: int) -> list[bytes]:
        """The first rows as a JSON array, as `rows` has them; in pieces, which are megabytes together."""
        texts = self._texts(rows_max) if self._are_distinct() else list(rows_texts(self.rows()[:rows_max]))
        pieces = [b","] * (2 * len(texts))
        pieces[1::2] = texts
        return [b"[", *pieces[1:], b"]"]

    def summary(self) -> tuple[BlockGroup, ...]:
        """Blocks counted by GPU, process, type, subtype and use."""
        sums: dict[_GroupKey, tuple[str | None, int, int]] = {}
        """First subtype, blocks and bytes."""
        for piece in self._pieces:
            for kind, held in piece.kinds.items() if isinstance(piece, BlockPart) else _kinds(piece):
                allocated, utilized = kind.state != "inactive", kind.state == "active"
                key = piece.gpu, piece.pid, kind.type, kind.subtype or "", allocated, utilized
                subtype, count, size = sums.get(key, (kind.subtype, 0, 0))
                sums[key] = subtype, count + held.blocks, size + held.bytes
        return tuple(
            BlockGroup(
                pid=pid,
                gpu=gpu,
                type=type_,
                allocated=allocated,
                utilized=utilized,
                count=count,
                size=size,
                subtype=subtype,
            )
            for (gpu, pid, type_, _, allocated, utilized), (subtype, count, size) in sorted(
                sums.items(), key=lambda item: item[0]
            )
        )

    def _texts(self, rows_max: int) -> list[bytes]:
        texts: list[bytes] = []
        left, lone = rows_max, list[Block]()
        for piece in self._pieces:
            if isinstance(piece, Block):
                if len(lone) < left:
                    lone.append(piece)
                continue
            texts += rows_texts(lone)
            left -= len(lone)
            lone.clear()
            texts += piece.texts(left)
            left = max(0, left - len(piece))
        texts += rows_texts(lone)
        return texts

    def _are_distinct(self) -> bool:
        """Whether all ids are; False, too, where it would take a look at each of thousands to tell."""
        spans = sorted(
            (piece.span for piece in self._pieces if isinstance(piece, BlockPart) and piece.span is not None),
            key=lambda span: (span.remainder, span.first),
        )
        others = [block.block_id for piece in self._pieces for block in _looked_at(piece)]
        if len(set(others)) < len(others) or any(starmap(_meet, pairwise(spans))):
            return False
        remainders = {one % ALIGNMENT_BYTES for one in others}
        lowest, highest = min(others, default=0), max(others, default=0)
        return not any(span.remainder in remainders and span.first <= highest and lowest <= span.last for span in spans)


def _kinds(block: Block) -> tuple[tuple[Kind, BlockSum]]:
    return ((Kind(block.type, block.subtype, "active"), BlockSum(1, block.size)),)


def _rows(piece: BlockPart | Block) -> Sequence[Block]:
    return (piece,) if isinstance(piece, Block) else piece.rows()


def _looked_at(piece: BlockPart | Block) -> Sequence[Block]:
    """The rows whose ids no span speaks of."""
    return () if isinstance(piece, BlockPart) and piece.span is not None else _rows(piece)


def _meet(one: IdSpan, other: IdSpan) -> bool:
    """Whether they may have an id in common; `other` does not begin before `one`."""
    return one.remainder == other.remainder and other.first <= one.last
