"""What agents tell at different instants is joined without breaking a sum, and what is old or doubtful says so."""

from typing import Any

from blackbox.merge import merge
from blackbox.model.parts import Allocator, OwningThread
from blackbox.model.snapshot import Snapshot
from tests.moments import GIB, NOW, TRAINER, allocator, device, moment, paged_allocator, process, sample


def snapshot(told: Allocator, **listed: Any) -> Snapshot:
    rows = process(told.pid, **({"used_bytes": 8 * GIB} | listed))
    return merge(moment(sample((device(0),), (rows,), allocators=(told,))))


def test_memory_reserved_since_the_blocks_were_seen_is_in_the_opaque_row() -> None:
    seen = snapshot(allocator(reserved_bytes=6 * GIB, allocated_bytes=5 * GIB, details_taken_at=NOW - 1))
    assert seen.processes[0].reserved_bytes == 6 * GIB
    assert [block.size for block in seen.blocks] == [2 * GIB, GIB, GIB, 4 * GIB]
    assert sum(block.size for block in seen.blocks) == seen.processes[0].used_bytes


def test_memory_allocated_since_the_threads_were_seen_is_on_the_main_thread() -> None:
    seen = snapshot(allocator(reserved_bytes=6 * GIB, allocated_bytes=5 * GIB, details_taken_at=NOW - 1))
    assert [(thread.thread_id, thread.allocated_bytes) for thread in seen.threads] == [
        (TRAINER, 4 * GIB),
        (TRAINER + 1, GIB),
    ]
    assert seen.threads[0].unknown == {"allocated_bytes": "2.0 GiB of it are of unknown owner"}
    assert seen.threads[1].unknown == {}


def test_blocks_that_were_given_back_since_are_not_shown() -> None:
    seen = snapshot(allocator(reserved_bytes=GIB, allocated_bytes=GIB, details_taken_at=NOW - 1))
    assert [(block.size, block.subtype) for block in seen.blocks] == [(8 * GIB, "opaque")]
    assert sum(thread.allocated_bytes for thread in seen.threads) == GIB


def test_details_of_the_same_instant_must_agree_to_the_byte() -> None:
    threads = (OwningThread(thread_id=TRAINER, allocated_bytes=GIB, state="running"),)
    seen = snapshot(allocator(reserved_bytes=5 * GIB, threads=threads))
    assert [block.subtype for block in seen.blocks] == ["opaque"]


def test_blocks_older_than_the_rest_say_how_old() -> None:
    assert "blocks" not in snapshot(allocator(details_taken_at=NOW - 1)).unknown
    assert snapshot(allocator(details_taken_at=NOW - 7)).unknown["blocks"] == f"pid {TRAINER}: as of 7.0 s ago"


def test_an_agents_reasons_reach_the_process_and_the_top() -> None:
    seen = snapshot(allocator(unknown={"reserved_bytes": "told 9 s ago", "blocks": "told 9 s ago", "nonsense": "x"}))
    assert seen.processes[0].unknown == {"reserved_bytes": "told 9 s ago"}
    assert seen.unknown["blocks"] == f"pid {TRAINER}: told 9 s ago"


def test_pages_are_shown_where_only_the_pool_is_known() -> None:
    told = paged_allocator()
    seen = snapshot(allocator(told.pid, blocks=None, kv_pools=told.kv_pools, threads=None))
    assert [(block.size, block.subtype) for block in seen.blocks] == [(GIB, "kv_page")] * 3 + [(5 * GIB, "opaque")]


def test_a_start_time_that_differs_by_the_kernels_rounding_is_the_same_process() -> None:
    told = allocator()
    assert told.start_time is not None
    assert snapshot(told, start_time=told.start_time + 1).processes[0].allocated_bytes == 3 * GIB
    assert snapshot(told, start_time=told.start_time + 60).processes[0].allocated_bytes is None


def test_rows_of_a_report_that_has_not_changed_are_not_made_again() -> None:
    told = allocator()
    assert snapshot(told).blocks[0] is snapshot(told).blocks[0]
