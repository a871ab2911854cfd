"""Layouts: which column is which number, also in recordings of other versions."""

import gc
import weakref
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from blackbox.model.series import RECORDED, SUBJECT_KINDS
from blackbox.recorder.storage.chunk_reader import NEVER, ChunkReader
from blackbox.recorder.storage.chunk_writer import ChunkWriter
from blackbox.recorder.storage.compression import pack
from blackbox.recorder.storage.frames import Frame, to_bytes
from blackbox.recorder.storage.layout import (
    FIRST_METRICS,
    Layout,
    LayoutCache,
    MetricKeys,
    keys_of,
)
from blackbox.recorder.storage.subjects import MACHINE, Subject
from tests.recorded_moments import moment_at

START = 1_800_000_000.0
GPU = Subject("gpu", gpu_uuid="GPU-0", gpu=0, name="Test GPU")
OTHERS: MetricKeys = {**FIRST_METRICS, "gpu": ("fan_percent", *FIRST_METRICS["gpu"])}
"""Of a version that records one number more, before the others."""

names = st.sampled_from([*keys_of(RECORDED)["gpu"], "fan_percent", "clock_hertz", "kv_pages_total"])
metric_keys = st.fixed_dictionaries({kind: st.lists(names, unique=True).map(tuple) for kind in SUBJECT_KINDS})
subjects = st.builds(
    Subject,
    st.sampled_from(SUBJECT_KINDS),
    gpu_uuid=st.none() | st.sampled_from(["GPU-0", "MIG-1"]),
    pid=st.none() | st.integers(1, 9),
    start_time=st.none() | st.floats(0, 1e10),
    uid=st.none() | st.integers(-1, 2000),
)


def names_of(layout: Layout) -> list[tuple[Subject, str]]:
    return [(key.subject, key.metric.key) for key in layout.keys]


@given(st.lists(subjects, unique=True).map(tuple), metric_keys)
def test_a_stored_layout_says_which_column_is_which_number(of: tuple[Subject, ...], keys: MetricKeys) -> None:
    layout = Layout(of, keys)
    read = Layout.unpacked(layout.packed())
    assert names_of(read) == names_of(layout) == [(one, key) for one in of for key in keys[one.kind]]
    assert read.checksum == layout.checksum, "rows are bound to it"
    assert read.keys == layout.keys, "the same series, so that rows of both can stand in one block"


@given(st.lists(subjects, unique=True).map(tuple))
def test_a_layout_without_names_has_the_first_metrics(of: tuple[Subject, ...]) -> None:
    read = Layout.unpacked(pack(msgspec.msgpack.encode(of)))
    assert names_of(read) == [(one, key) for one in of for key in FIRST_METRICS[one.kind]]
    assert read.body == msgspec.msgpack.encode(of), "and keeps its checksum"


@given(st.lists(st.tuples(st.lists(subjects, unique=True, max_size=3).map(tuple), metric_keys), max_size=12))
def test_a_layout_that_is_kept_is_the_one_that_is_stored(told: list[tuple[tuple[Subject, ...], MetricKeys]]) -> None:
    cache = LayoutCache()
    for of, keys in told:
        stored = Layout(of, keys).packed()
        assert names_of(cache.unpacked(stored)) == names_of(Layout.unpacked(stored))
        assert cache.unpacked(stored) is cache.unpacked(stored)


def test_a_layout_that_nobody_holds_is_not_kept() -> None:
    cache = LayoutCache()
    held, stored = Layout((MACHINE,)).packed(), Layout((MACHINE, GPU)).packed()
    layout = cache.unpacked(held)
    gone = weakref.ref(cache.unpacked(stored))
    gc.collect()
    assert gone() is None
    assert cache.unpacked(held) is layout


def test_rows_of_two_versions_stand_in_one_block(tmp_path: Path) -> None:
    """A chunk that an earlier version began, gone on with by one that records another number before the others."""
    old, new = Layout((MACHINE, GPU), FIRST_METRICS), Layout((MACHINE, GPU), OTHERS)
    frame = Frame(START, to_bytes(moment_at(START, 1)))
    writer = ChunkWriter(tmp_path / "chunk.db", 1)
    for second, layout in enumerate((old, new)):
        values = [100.0 * second + place for place in range(len(layout.keys))]
        writer.append(START + second, layout, values, frame, synced=False)
    with ChunkReader(tmp_path / "chunk.db") as reader:
        loose = [(run.layout.checksum, list(run.times)) for run in reader.runs(*NEVER)]
    assert loose == [(old.checksum, [START]), (new.checksum, [START + 1])]
    writer.finish()
    with ChunkReader(tmp_path / "chunk.db") as reader:
        (run,) = reader.runs(*NEVER)
    found = {(key.subject.kind, key.metric.key): run.column(place) for place, key in enumerate(run.layout.keys)}
    width = len(FIRST_METRICS["machine"])
    for place, key in enumerate(FIRST_METRICS["gpu"]):
        assert found["gpu", key] == [width + place, 100 + width + 1 + place]
