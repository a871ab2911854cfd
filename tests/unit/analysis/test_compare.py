"""What differs between two snapshots."""

from hypothesis import given, settings
from msgspec import structs

from blackbox.analysis.compare import compare
from blackbox.cli.commands import compare as compare_command
from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.parts import AllocatorBlock, DeviceProcess, OwningStack
from blackbox.model.snapshot import Snapshot
from tests.moments import GIB, allocator, device, instance, memory, moment, process, sample
from tests.strategies import moments


def snapshot(*rows: DeviceProcess, seq: int = 1) -> Snapshot:
    used = sum(row.used_bytes or 0 for row in rows)
    return merge(moment(sample([device(memory=memory(used=used))], rows), seq=seq))


def test_new_gone_grown_shrunk_and_unchanged() -> None:
    before = snapshot(
        process(1, used_bytes=GIB),
        process(2, used_bytes=5 * GIB),
        process(3, used_bytes=5 * GIB),
        process(5, used_bytes=GIB),
    )
    after = snapshot(
        process(1, used_bytes=GIB), process(2, used_bytes=9 * GIB), process(3, used_bytes=2 * GIB), process(4), seq=9
    )
    found = compare(before, after)
    assert [(row.pid, row.change, row.delta_bytes) for row in found.processes] == [
        (4, "new", 6 * GIB),
        (2, "grown", 4 * GIB),
        (3, "shrunk", -3 * GIB),
        (5, "gone", -GIB),
    ]
    assert (found.unchanged, found.delta_bytes) == (1, 6 * GIB)
    assert (found.a.seq, found.b.seq) == (1, 9)


def test_a_pid_that_was_given_away_is_gone_and_new() -> None:
    found = compare(snapshot(process(1, start_time=1.0)), snapshot(process(1, start_time=200.0)))
    assert sorted((row.change, row.delta_bytes) for row in found.processes) == [("gone", -6 * GIB), ("new", 6 * GIB)]


def blocks(*sizes: int) -> Snapshot:
    parts = tuple(
        AllocatorBlock(place * GIB, size, "active", "activation" if place else "weight", size, None, "tensor", 1, 0)
        for place, size in enumerate(sizes)
    )
    total = sum(sizes)
    reports = allocator(1, reserved_bytes=total, allocated_bytes=total, blocks=parts, threads=None)
    rows = [process(1, used_bytes=10 * GIB)]
    return merge(moment(sample([device()], rows, allocators=(reports,))))


def test_growth_inside_a_process_is_told_by_type() -> None:
    found = compare(blocks(1000, 500), blocks(1000, 500, 300, 200))
    (row,) = found.processes
    assert (row.change, row.delta_bytes) == ("shifted", 0)
    by_type = {one.type: (one.delta_bytes, one.before_blocks, one.after_blocks) for one in row.types}
    assert by_type == {"activation": (500, 1, 3), "other": (-500, 1, 1)}


def stacked(**live: int) -> Snapshot:
    """A process with so many live bytes from each function; those that no stack explains are of the rest."""
    total = 10 * GIB
    stacks = tuple(OwningStack((f"train.py:1 {name}",), size, 1, "activation") for name, size in live.items())
    told = allocator(1, reserved_bytes=total, allocated_bytes=total, blocks=None, threads=None, stacks=stacks or None)
    return merge(moment(sample([device()], [process(1, used_bytes=total)], allocators=(told,))))


def test_growth_inside_a_process_is_told_by_stack() -> None:
    (row,) = compare(stacked(step=100, build=7, gone=5), stacked(step=400, build=7, new=1)).processes
    found = {change.frames: (change.before_bytes, change.after_bytes, change.delta_bytes) for change in row.stacks}
    assert found == {
        ("train.py:1 step",): (100, 400, 300),
        (): (10 * GIB - 112, 10 * GIB - 408, -296),
        ("train.py:1 gone",): (5, 0, -5),
        ("train.py:1 new",): (0, 1, 1),
    }
    assert [abs(change.delta_bytes) for change in row.stacks] == [300, 296, 5, 1]
    assert "stacks" not in row.unknown
    # what is missing on one side may be among the 10 GiB of unknown stack there
    assert {change.frames: set(change.unknown) for change in row.stacks} == {
        ("train.py:1 step",): set(),
        (): set(),
        ("train.py:1 gone",): {"after_bytes", "delta_bytes"},
        ("train.py:1 new",): {"before_bytes", "delta_bytes"},
    }


def test_where_every_stack_is_told_a_new_one_is_new() -> None:
    (row,) = compare(stacked(step=10 * GIB), stacked(step=9 * GIB, new=GIB)).processes
    assert [(change.delta_bytes, change.unknown) for change in row.stacks] == [(-GIB, {}), (GIB, {})]


def test_stacks_told_on_one_side_only_are_no_difference() -> None:
    found = compare(stacked(), stacked(step=400))
    assert (found.processes, found.unchanged) == ((), 1)
    after = stacked(step=400)
    (row,) = compare(snapshot(process(1, used_bytes=GIB)), after).processes
    assert row.stacks == ()
    assert "history" in row.unknown["stacks"]
    (new,) = compare(snapshot(), after).processes
    assert sum(change.after_bytes for change in new.stacks) == 10 * GIB


def test_a_process_on_two_instances_of_a_gpu_is_two() -> None:
    def of(used: int) -> Snapshot:
        rows = [process(1, "MIG-0-1", used_bytes=GIB), process(1, "MIG-0-2", used_bytes=used)]
        return merge(moment(sample([device(0), instance(0, 1), instance(0, 2)], rows)))

    found = compare(of(GIB), of(3 * GIB))
    assert [(row.gpu_uuid, row.delta_bytes, row.types) for row in found.processes] == [("MIG-0-2", 2 * GIB, ())]
    assert found.unchanged == 1


def test_a_figure_that_was_not_measured_is_named() -> None:
    (row,) = compare(snapshot(process(1, used_bytes=None)), snapshot(process(1, used_bytes=GIB))).processes
    assert row.unknown.keys() == {"before_bytes", "delta_bytes", "stacks"}


@settings(max_examples=30)
@given(moments(), moments())
def test_the_differences_add_up(first: Moment, second: Moment) -> None:
    before, after = merge(first), merge(second)
    found = compare(before, after)
    delta = sum(row.used_bytes for row in after.processes) - sum(row.used_bytes for row in before.processes)
    assert sum(row.delta_bytes for row in found.processes) == delta
    same = compare(before, before)
    assert (same.processes, same.delta_bytes, same.unchanged) == ((), 0, len(before.processes))


def test_people_read_the_line_of_the_program_that_grew() -> None:
    lines = list(compare_command.lines(compare(stacked(step=100), stacked(step=GIB)), {}))
    assert [line.split() for line in lines if "from" in line] == [
        ["+1024.0", "MiB", "activation,", "from", "train.py:1", "step:", "100", "B,", "then", "1.0", "GiB"],
        ["-1024.0", "MiB", "from", "unknown", "stacks:", "10.0", "GiB,", "then", "9.0", "GiB"],
    ]
    hidden = list(compare_command.lines(compare(stacked(step=1), stacked(other=GIB)), {}))
    assert any("not known" in line and "not told, then 1.0 GiB" in line for line in hidden)


def test_what_is_cached_is_told_from_what_is_in_use() -> None:
    """Pages of a KV cache that went from in use to cached change no sum by type."""
    weight, _, activation = allocator().blocks or ()
    freed = structs.replace(activation, state="pending_free", type="kv_cache", subtype=None)
    used = structs.replace(freed, state="active")

    def seen(block: AllocatorBlock) -> Snapshot:
        one = allocator(1, blocks=(weight, block), reserved_bytes=3 * GIB, allocated_bytes=2 * GIB, threads=None)
        return merge(moment(sample([device()], [process(1, used_bytes=4 * GIB)], allocators=(one,))))

    (row,) = compare(seen(used), seen(freed)).processes
    assert (row.change, row.delta_bytes) == ("shifted", 0)
    told = {change.purpose: change.delta_bytes for change in row.purposes}
    assert told == {"kv_used": -GIB, "kv_cached": GIB}


@given(moments(), moments())
@settings(max_examples=40)
def test_purposes_sum_to_the_difference_in_what_is_reserved(before: Moment, after: Moment) -> None:
    old, new = merge(before), merge(after)
    for row in compare(old, new).processes:
        pair = [
            next((one for one in side.processes if (one.gpu_uuid, one.pid) == (row.gpu_uuid, row.pid)), None)
            for side in (old, new)
        ]
        if row.change in ("new", "gone") or any(one is None or one.purposes is None for one in pair):
            continue
        sizes = [one.reserved_bytes for one in pair if one is not None]
        assert sum(change.delta_bytes for change in row.purposes) == sizes[1] - sizes[0]
