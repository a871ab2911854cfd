"""What the memory of a process is for adds up to what its allocators hold."""

from collections import Counter

from hypothesis import given, settings

from blackbox.merge import merge
from blackbox.model.moment import Moment
from blackbox.model.purpose import PURPOSES, purpose_of
from blackbox.recorder.storage.subjects import numbers_of, without_maps
from tests.moments import GIB, SERVER, SILENT, TRAINER, machine, moment
from tests.strategies import moments


@settings(max_examples=60)
@given(moments())
def test_purposes_sum_to_reserved_and_agree_with_the_blocks(seen: Moment) -> None:
    snapshot = merge(seen)
    shared = Counter((row.gpu, row.pid) for row in snapshot.processes)
    for row in snapshot.processes:
        if row.purposes is None:
            continue
        assert set(row.purposes) <= set(PURPOSES)
        assert sum(row.purposes.values()) == row.reserved_bytes
        if shared[row.gpu, row.pid] > 1:
            continue  # a block does not say on which MIG instance it lies
        found: Counter[str] = Counter()
        for block in snapshot.blocks:
            if (block.gpu, block.pid) == (row.gpu, row.pid) and block.subtype != "opaque":
                purpose = purpose_of(block.type, block.subtype, allocated=block.allocated, utilized=block.utilized)
                found[purpose] += block.size
        assert all(row.purposes.get(purpose, 0) >= size for purpose, size in found.items())


@settings(max_examples=40)
@given(moments())
def test_what_is_recorded_is_the_same_without_the_maps(seen: Moment) -> None:
    assert str(numbers_of(seen, merge(seen))) == str(numbers_of(seen))
    assert len(merge(without_maps(seen)).processes) == len(merge(seen).processes)


def test_the_purposes_of_a_machine() -> None:
    purposes = {row.pid: row.purposes for row in merge(moment(machine())).processes if row.gpu_uuid == "GPU-0"}
    assert purposes[TRAINER] == {"weight": 2 * GIB, "activation": GIB, "cached": GIB}
    assert purposes[SERVER] == {"kv_used": GIB, "kv_cached": GIB, "cached": GIB}
    assert purposes[SILENT] is None
