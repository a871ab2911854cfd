"""Blocks of allocators as arrays, as agents tell them, and what may become of them by the next report."""

from array import array
from typing import NamedTuple

from hypothesis import strategies as st

from blackbox.model.block_arrays import NO_REQUEST, NO_STREAM, STATES, TYPES, BlockArrays, IntArray

START = 0x7F00_0000_0000
LABELS = ((None, "residual"), ("gradient", "tensor"), (None, None), ("optimizer", "module"))


class OneBlock(NamedTuple):
    """Sizes and gaps in units."""

    gap: int
    size: int
    state: int
    type: int
    label: int
    requested: int | None
    thread: int
    stream: int


class Report(NamedTuple):
    """What a program tells."""

    blocks: tuple[OneBlock, ...]
    unit: int = 512
    start: int = START
    labels: tuple[tuple[str | None, str | None], ...] = LABELS
    without: frozenset[str] = frozenset()
    """Columns that it does not tell."""

    def arrays(self) -> BlockArrays:
        """As a source has them."""
        address, at = array("Q"), self.start
        for block in self.blocks:
            at += block.gap * self.unit
            address.append(at)
            at += block.size * self.unit
        columns: dict[str, IntArray] = {
            "requested": array("Q", [NO_REQUEST if b.requested is None else b.requested for b in self.blocks]),
            "thread": array("I", [b.thread for b in self.blocks]),
            "stream": array("Q", [b.stream for b in self.blocks]),
            "stack": array("I", [b.label for b in self.blocks]),
            "segment": array("Q", [place // 7 * 512 for place in range(len(self.blocks))]),
            "pool": array("B", [b.type for b in self.blocks]),
            "allocated_ms": array("Q", [b.size * 1500 * b.thread for b in self.blocks]),
        }
        return BlockArrays(
            address,
            array("Q", [b.size * self.unit for b in self.blocks]),
            array("B", [b.state for b in self.blocks]),
            array("B", [b.type for b in self.blocks]),
            array("B", [b.label % len(self.labels) for b in self.blocks]),
            self.labels,
            **{name: column for name, column in columns.items() if name not in self.without},
        )


one_block = st.builds(
    OneBlock,
    gap=st.sampled_from((0, 0, 0, 1, 100)),
    size=st.sampled_from((0, 1, 1, 2, 3, 40)),
    state=st.integers(0, len(STATES) - 1),
    type=st.integers(0, len(TYPES) - 1),
    label=st.integers(0, 3),
    requested=st.none() | st.integers(0, 3),
    thread=st.integers(0, 2),
    stream=st.sampled_from((0, 0, 7, NO_STREAM)),
)
OPTIONAL = ("requested", "thread", "stream", "stack", "segment", "pool", "allocated_ms")


@st.composite
def reports(draw: st.DrawFn, blocks_max: int = 200) -> Report:
    """A few different blocks, repeated until they fill several chunks."""
    some = draw(st.lists(one_block, min_size=1, max_size=12))
    random = draw(st.randoms(use_true_random=False))
    count = draw(st.integers(0, blocks_max))
    many = draw(st.sampled_from((1, 1, 100)))
    return Report(
        tuple(random.choice(some) for _ in range(count)),
        draw(st.sampled_from((512, 512, 512, 64))),
        draw(st.sampled_from((START, START + 1, 0, 512))),
        LABELS * many,
        draw(st.frozensets(st.sampled_from(OPTIONAL), max_size=4)),
    )


@st.composite
def changed(draw: st.DrawFn, report: Report) -> Report:
    """The next report: nearly the same."""
    blocks = list(report.blocks)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(blocks)))
        what = draw(st.sampled_from(("change", "insert", "remove", "free")))
        if what == "insert":
            blocks.insert(place, draw(one_block))
        elif place < len(blocks) and what == "change":
            blocks[place] = draw(one_block)
        elif place < len(blocks) and what == "free":
            blocks[place] = blocks[place]._replace(state=(blocks[place].state + 1) % len(STATES))
        elif place < len(blocks):
            del blocks[place]
    labels = draw(st.sampled_from((report.labels, report.labels, report.labels[::-1])))
    return report._replace(blocks=tuple(blocks), labels=labels)
