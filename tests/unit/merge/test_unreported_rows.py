"""Rows kept from one merge to the next: the snapshot is the one that is merged from scratch."""

import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.merge import merge
from blackbox.merge.identity_cache import UNUSED_SECONDS_MAX
from blackbox.merge.process_memory import NO_REPORT, OTHER_USER, UnreportedRows
from blackbox.model.codec import to_json
from blackbox.model.parts import DeviceProcess
from tests.moments import GIB, allocator, device, moment, process, sample

POOL = tuple(
    process(pid, gpu_uuid=f"GPU-{gpu}", used_bytes=used, name=name)
    for pid in (7, 8)
    for gpu in (0, 1)
    for used in (None, 0, GIB)
    for name in ("one", None)
)
Listed = list[DeviceProcess]
listings = st.lists(st.sampled_from(POOL), max_size=4, unique_by=lambda row: (row.gpu_uuid, row.pid))


@given(st.lists(st.tuples(listings, st.booleans(), st.permutations((0, 1)), st.sampled_from((None, 54_321)))))
def test_a_merge_with_kept_rows_is_the_merge_from_scratch(
    steps: list[tuple[Listed, bool, list[int], int | None]],
) -> None:
    for listed, is_reported, indices, viewer_uid in steps:
        gpus = [device(index, uuid=f"GPU-{number}") for number, index in enumerate(indices)]
        reports = (allocator(7, "GPU-0", uid=1),) if is_reported else ()
        kept = merge(moment(sample(gpus, listed, allocators=reports)), viewer_uid=viewer_uid)
        copies = [structs.replace(row) for row in listed]
        alike = merge(moment(sample(gpus, copies, allocators=reports)), viewer_uid=viewer_uid)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules[UnreportedRows.__module__], "_unreported_rows", UnreportedRows())
            anew = merge(moment(sample(gpus, map(structs.replace, listed), allocators=reports)), viewer_uid=viewer_uid)
        assert to_json(kept) == to_json(alike) == to_json(anew)


def test_rows_are_kept_by_the_drivers_row_its_gpu_and_the_reason() -> None:
    rows, listed = UnreportedRows(), process(7)
    first = rows.of(listed, 0, NO_REPORT)
    assert rows.of(listed, 0, NO_REPORT) is first
    assert rows.of(structs.replace(listed), 0, NO_REPORT) is first, "as a recording brings it again"
    newer = structs.replace(listed, used_bytes=1)
    assert rows.of(newer, 0, NO_REPORT) is not first
    assert len(rows._known) == 1, "rows of one process do not heap up"  # pyright: ignore[reportPrivateUsage]
    assert rows.of(listed, 1, NO_REPORT).process.gpu == 1
    assert rows.of(listed, 0, OTHER_USER).unreported_reason == OTHER_USER


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[UnreportedRows.__module__], "ROWS_KEPT_MAX", 4)
    rows, listed = UnreportedRows(), [process(pid) for pid in range(20)]
    for row in listed:
        rows.forget()
        assert rows.of(row, 0, NO_REPORT).process.pid == row.pid
    assert len(rows._known) <= 4
    assert len(rows._older) <= 4  # pyright: ignore[reportPrivateUsage]


def test_a_process_that_ended_leaves_nothing_behind() -> None:
    now = 100.0
    rows, ended, lives = UnreportedRows(lambda: now), process(7), process(8)
    gone = rows.of(ended, 0, NO_REPORT)
    first = rows.of(lives, 0, NO_REPORT)
    for _ in range(3):
        now += UNUSED_SECONDS_MAX + 1.0
        rows.forget()
        assert rows.of(lives, 0, NO_REPORT) is first, "kept although samples are further apart than a period"
    assert rows.of(ended, 0, NO_REPORT) is not gone


def test_several_threads_may_ask() -> None:
    rows, listed = UnreportedRows(), [process(pid) for pid in range(50)]
    found: list[list[int]] = []

    def ask() -> None:
        for _ in range(20):
            rows.forget()
            found.append([rows.of(row, 0, NO_REPORT).process.pid for row in listed])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(50))] * 80
