"""Every block as packed columns, beside the same blocks as JSON."""

from array import array
from random import Random

from msgspec import structs

from benchmarks.encode import RUNS_PER_ROUND, milliseconds
from benchmarks.harness import in_turns, median
from benchmarks.moments import moment
from benchmarks.plan import Benchmark, Plan, Row
from blackbox.hub import BLOCKS_MAX
from blackbox.merge import Merged, merged
from blackbox.merge.block_table import table, table_rows
from blackbox.model.block_arrays import NO_REQUEST, STATES, TYPES, BlockArrays, ListedBlocks
from blackbox.model.codec import compress, to_json
from blackbox.model.moment import Moment
from blackbox.model.parts import Allocator, DeviceProcess

SIZES = (14_400, 100_000)
"""Blocks of the allocator; one more stands for what the process holds beside them."""
UNIT_BYTES = 512
LAYER_UNITS = (20_000, 8, 4096, 8, 20_000, 32, 20_000, 32, 8, 8, 300, 1)
"""Sizes of the tensors of a layer, in these units; layers are alike."""
FREE_UNITS = (1, 2, 4, 8, 16, 100, 300, 2048, 4096, 20_000)
LABELS: tuple[tuple[str | None, str | None], ...] = (
    (None, "tensor"),
    (None, "residual"),
    ("gradient", "residual"),
    ("optimizer", "tensor"),
    (None, None),
)
LABEL_TYPES = ("weight", "activation", "other", "other", "other")
FREE_LABEL = 4
MOVE_BYTES = 2 << 20
ACTIVE = STATES.index("active")
RUN_MAX = 60
"""Blocks of one purpose beside each other, at most."""
FREE_SHARE = 0.2
ROUNDINGS = (0, 0, 0, 0, 4, 12, 100)
"""Bytes that a request is below its block."""
THREADS = (4711, 4858)


def run(plan: Plan) -> list[Row]:
    """Milliseconds of CPU, and bytes on the wire."""
    return [row for blocks in SIZES for row in _rows(plan, blocks)]


def _rows(plan: Plan, blocks: int) -> list[Row]:
    arrays = lifelike(blocks, Random(1))
    made = merged(with_blocks(moment(1, processes=1), arrays))
    snapshot, memory = made.snapshot, made.rows
    body = to_json(snapshot)
    known = table_rows(memory, BLOCKS_MAX)
    fresh = [iter(_new_reports(arrays, plan.rounds * RUNS_PER_ROUND, place)) for place in range(2)]
    works = (
        lambda: compress(to_json(snapshot), "zstd"),
        lambda: compress(table(snapshot, known, "benchmark"), "zstd"),
        lambda: compress(b"".join(next(fresh[0]).json_pieces("full", BLOCKS_MAX)), "zstd"),
        lambda: _columns_of(next(fresh[1])),
    )
    rounds = in_turns(plan.rounds, *(lambda work=work: milliseconds(work) for work in works))
    as_json, unchanged, anew_as_json, anew = map(median, rounds)
    packed = compress(table(snapshot, known, "benchmark"), "zstd")
    told = f"{len(snapshot.blocks):,} blocks"
    sizes = len(packed), len(compress(body, "zstd"))
    figure, peer = f"{told} as columns", f"JSON and zstd of the same {told}"
    note = "address, size, type, state, source, rounding, thread and stream of each"
    return [
        Row(
            figure=figure, unit="bytes, zstd", ours=sizes[0], peer=peer, theirs=sizes[1], target="≤ 1/8",
            met=sizes[0] * 8 <= sizes[1], note=note,
        ),
        _cpu(f"{figure}: the report is that of the sample before", unchanged, peer, as_json, "out of rows made before"),
        _cpu(f"{figure}: a new report", anew, f"the same report as JSON and zstd ({told})", anew_as_json,
             "both from what an agent told, none of whose blocks were told before"),
        _cpu(f"{figure}: a new report", anew, f"{peer}, out of rows that are made", as_json,
             "how this was compared before: a server has no such rows of a new report"),
    ]  # fmt: skip


def _columns_of(made: Merged) -> bytes:
    return compress(table(made.bare, table_rows(made.rows, BLOCKS_MAX), "benchmark"), "zstd")


def _cpu(figure: str, ours: float, peer: str, theirs: float, note: str) -> Row:
    return Row(
        figure=figure, unit="ms CPU", ours=ours, peer=peer, theirs=theirs, target="≤ 1/8", met=ours * 8 <= theirs,
        note=note,
    )  # fmt: skip


def lifelike(blocks: int, random: Random) -> BlockArrays:
    """The blocks of a training program, as an agent packs them."""
    columns = BlockArrays(
        array("Q"), array("Q"), array("B"), array("B"), array("B"), LABELS,
        requested=array("Q"), thread=array("I"), stream=array("Q", bytes(8 * blocks)),
    )  # fmt: skip
    requested, thread = columns.requested, columns.thread
    assert requested is not None
    assert thread is not None
    address, label, left = 0x7F00_0000_0000, 0, 0
    for place in range(blocks):
        if not left:
            label, left = random.randrange(FREE_LABEL), random.randrange(1, RUN_MAX)
        left -= 1
        is_free = random.random() < FREE_SHARE
        size = UNIT_BYTES * (random.choice(FREE_UNITS) if is_free else LAYER_UNITS[place % len(LAYER_UNITS)])
        of = FREE_LABEL if is_free else label
        columns.address.append(address)
        columns.size.append(size)
        columns.state.append(STATES.index("inactive" if is_free else "active"))
        columns.type.append(TYPES.index(LABEL_TYPES[of]))
        columns.label.append(of)
        requested.append(NO_REQUEST if is_free else size - random.choice(ROUNDINGS))
        thread.append(0 if is_free else THREADS[label in (1, 2)])
        address += size
    return columns


def with_blocks(seen: Moment, *reports: BlockArrays) -> Moment:
    """The moment, each of its processes holding the blocks of a report."""
    (sample,) = seen.samples
    told = list(zip(sample.processes, reports, strict=True))
    allocators = tuple(_allocator(process, seen.taken_at, arrays) for process, arrays in told)
    listed = tuple(structs.replace(process, used_bytes=sum(arrays.size) + UNIT_BYTES) for process, arrays in told)
    sample = structs.replace(sample, allocators=allocators, processes=listed, kernels=(), engines=())
    return structs.replace(seen, samples=(sample,))


def _allocator(process: DeviceProcess, taken_at: float, arrays: BlockArrays) -> Allocator:
    return Allocator(
        pid=process.pid,
        start_time=process.start_time,
        gpu_uuid=process.gpu_uuid,
        taken_at=taken_at,
        source="pytorch",
        reserved_bytes=sum(arrays.size),
        allocated_bytes=sum(size for size, state in zip(arrays.size, arrays.state, strict=True) if state == ACTIVE),
        inactive_split_bytes=0,
        blocks=ListedBlocks(arrays),
    )


def _new_reports(arrays: BlockArrays, count: int, place: int) -> list[Merged]:
    """Moments with a report each, as soon as it has come: the blocks lie elsewhere each time, so nothing that was made
    of others is of use. Two lists differ in their `place`."""
    found: list[Merged] = []
    for shift in range(place * MOVE_BYTES, 2 * count * MOVE_BYTES, 2 * MOVE_BYTES):
        moved = arrays._replace(address=array("Q", map(shift.__add__, arrays.address)))
        found.append(merged(with_blocks(moment(1, processes=1), moved)))
    return found


BENCHMARK = Benchmark(
    "columns", "Every block of a moment as `GET /vram/columns` answers it, beside the same blocks as JSON.", run
)
