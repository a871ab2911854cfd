"""Bytes that are no table of blocks are refused; nothing else comes of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.block_table import BlockTable, BlockTableHead, ColumnHead, LayoutError, TablePart, decode, encode

PART = TablePart(
    gpu=0, gpu_uuid="GPU-0", pid=7, name="python", start_time=None, source="pytorch", rows=2, same=False,
    columns=("address", "size"), first_address=1 << 40, kinds=(), stacks=(), reason=None,
)  # fmt: skip
COLUMNS = (ColumnHead(name="address", type="u64", bytes=1), ColumnHead(name="size", type="u64", bytes=2))
HEAD = BlockTableHead(
    seq=1, timestamp="2027-01-15T08:00:00Z", simulated=False, version="x-1", since=None, rows=2, rows_omitted=0,
    columns=COLUMNS, parts=(PART,),
)  # fmt: skip
BODY = encode(HEAD, ((b"\0\x05",), (b"\0\x01", b"\x02\x03")))


def test_addresses_are_told_as_such() -> None:
    table = decode(BODY)
    assert table.column("size").tolist() == [0x200, 0x301]
    assert table.column("address").tolist() == [1 << 40, (1 << 40) + 0x200 + 5]
    assert table.column("size").format == "Q"


@given(st.integers(0, len(BODY) - 1), st.integers(0, 255), st.integers(0, 12))
def test_mutated_bytes_are_a_table_or_refused(place: int, byte: int, cut: int) -> None:
    mutated = BODY[:place] + bytes([byte]) + BODY[place + 1 : len(BODY) - cut]
    try:
        table = decode(mutated)
    except LayoutError:
        return
    assert isinstance(table, BlockTable)
    assert all(len(table.column(name)) == len(table) for name in table.names)


@pytest.mark.parametrize(
    "head",
    [
        msgspec.structs.replace(HEAD, rows=3),
        msgspec.structs.replace(HEAD, columns=COLUMNS[:1]),
        msgspec.structs.replace(HEAD, columns=(*COLUMNS, ColumnHead(name="kind", type="u8", bytes=2))),
        msgspec.structs.replace(HEAD, parts=(msgspec.structs.replace(PART, rows=10**12),), rows=10**12, columns=()),
        msgspec.structs.replace(HEAD, parts=(msgspec.structs.replace(PART, first_address=2**64 - 1),)),
        msgspec.structs.replace(
            HEAD,
            columns=(COLUMNS[1], msgspec.structs.replace(COLUMNS[0], name="kind")),
            parts=(msgspec.structs.replace(PART, columns=("size", "kind")),),
        ),
    ],
)
def test_a_head_that_contradicts_itself_is_refused(head: BlockTableHead) -> None:
    with pytest.raises(LayoutError):
        decode(encode(head, ((b"\0\x05",), (b"\0\x01", b"\x02\x03"))))
