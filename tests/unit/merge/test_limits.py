"""The tightest limit of a process is that of its row, whoever keeps it; what a program told is its owner's."""

import pytest

from blackbox.merge import merge
from blackbox.model.parts import MemoryLimit
from tests.moments import GIB, allocator, device, moment, process, sample

OWNER, OTHER = 1001, 1002


def of_cgroup(limit_bytes: int) -> MemoryLimit:
    return MemoryLimit(kind="dmem", limit_bytes=limit_bytes, used_bytes=None, cgroup="/box")


@pytest.mark.parametrize(
    ("cgroup", "own", "source", "expected"),
    [
        (None, None, "pytorch", None),
        (None, 20 * GIB, "pytorch", ("pytorch", 20 * GIB, None)),
        (None, 20 * GIB, "jax", ("jax", 20 * GIB, None)),
        (30 * GIB, 20 * GIB, "pytorch", ("pytorch", 20 * GIB, None)),
        (10 * GIB, 20 * GIB, "pytorch", ("dmem", 10 * GIB, "/box")),
        (30 * GIB, None, "pytorch", ("dmem", 30 * GIB, "/box")),
        (None, 20 * GIB, "cupy", None),
    ],
)
def test_the_tightest_counts(
    cgroup: int | None, own: int | None, source: str, expected: tuple[str, int, str | None] | None
) -> None:
    limit = None if cgroup is None else of_cgroup(cgroup)
    seen = moment(
        sample(
            [device()],
            [process(1, uid=OWNER, limit=limit)],
            allocators=(allocator(1, uid=OWNER, source=source, limit_bytes=own),),
        )
    )
    (row,) = merge(seen).processes
    found = None if row.limit is None else (row.limit.kind, row.limit.limit_bytes, row.limit.cgroup)
    assert found == expected
    if found is not None and row.limit is not None and row.limit.cgroup is None:
        assert row.limit.used_bytes == row.reserved_bytes
    (hidden,) = merge(seen, viewer_uid=OTHER).processes
    assert hidden.limit == limit, "what the program told is not for others"
