"""The KV cache of an engine: where its pages lie, joined with what they hold. The two may come from two processes."""

from collections.abc import Iterable, Iterator

from blackbox.model.parts import KvPage, KvPool
from blackbox.wire.report import PAGE_CACHED, PAGE_IN_USE, KvLayout, KvPiece

PAGE_ROWS_MAX = 100_000
"""Above this, neighbours that hold the same become one row: a large engine has a million pages in layers. Where even
those are more, all pages that hold the same do."""


class KvMismatchError(Exception):
    """Layout and states do not belong together, or the layout contradicts itself; says how."""


def pool_of(layout: KvLayout, states: bytes) -> KvPool:
    """The pool whose page i holds what `states[i]` says. Raises `KvMismatchError`."""
    if len(states) != layout.pages:
        raise KvMismatchError(f"{len(states)} page states for {layout.pages} pages")
    pieces = _fused(layout.pieces)
    _check_tiling(layout, pieces)
    return KvPool(ranges=layout.ranges, pages=tuple(_rows(pieces, states)))


def _rows(pieces: list[KvPiece], states: bytes) -> Iterable[KvPage]:
    if len(states) * len(pieces) <= PAGE_ROWS_MAX:
        return _placed(pieces, [(page, 1, state) for page, state in enumerate(states)])
    runs = list(_runs(states))
    return _placed(pieces, runs) if len(runs) * len(pieces) <= PAGE_ROWS_MAX else _by_state(pieces, states)


def _placed(pieces: Iterable[KvPiece], runs: list[tuple[int, int, int]]) -> Iterator[KvPage]:
    for piece in pieces:
        for first, count, state in runs:
            yield _row(first, piece.address + first * piece.size, count * piece.size, state, count)


def _by_state(pieces: Iterable[KvPiece], states: bytes) -> Iterator[KvPage]:
    page_bytes = sum(piece.size for piece in pieces)
    for state in sorted(set(states)):
        count = states.count(state)
        yield _row(states.index(state), 0, count * page_bytes, state, count)


def _row(first: int, address: int, size: int, state: int, count: int) -> KvPage:
    return KvPage(
        page_id=first,
        address=address,
        size=size,
        in_use=bool(state & PAGE_IN_USE),
        cached=bool(state & PAGE_CACHED),
        pages=count,
    )


def _fused(pieces: Iterable[KvPiece]) -> list[KvPiece]:
    """Pieces that lie side by side in every page, as one: a page whose layers are together is one row."""
    fused: list[KvPiece] = []
    for piece in sorted(pieces):
        last = fused[-1] if fused else None
        if (
            last
            and last.stride == piece.stride
            and last.size < last.stride
            and last.address + last.size == piece.address
        ):
            fused[-1] = last._replace(size=last.size + piece.size)
        else:
            fused.append(piece)
    return fused


def _check_tiling(layout: KvLayout, pieces: Iterable[KvPiece]) -> None:
    """Pages one behind the other fill each piece, and the pieces fill the ranges."""
    spans: list[tuple[int, int]] = []
    for piece in pieces:
        if piece.stride != piece.size:
            raise KvMismatchError(f"pages of {piece.size} bytes every {piece.stride}")
        spans.append((piece.address, piece.size * layout.pages))
    if list(_joined(spans)) != list(_joined(layout.ranges)):
        raise KvMismatchError("the pages do not fill the tensors")


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbouring spans as one, by address; overlapping ones stay apart, and so differ from ranges that do not."""
    start, end = 0, 0
    for address, size in sorted(spans):
        if size == 0:
            continue
        if address == end:
            end += size
            continue
        if end > start:
            yield start, end
        start, end = address, address + size
    if end > start:
        yield start, end


def _runs(states: bytes) -> Iterator[tuple[int, int, int]]:
    """(first page, number of pages, state) of pages in a row that hold the same."""
    first = 0
    for page in range(1, len(states) + 1):
        if page == len(states) or states[page] != states[first]:
            yield first, page - first, states[first]
            first = page
