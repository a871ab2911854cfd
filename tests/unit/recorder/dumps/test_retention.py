"""Which dumps stay where they are too many or too large."""

from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.dumps.retention import (
    DUMPS_BYTES_MAX,
    DUMPS_MAX,
    KIND_DUMPS_MAX,
    OWNER_BYTES_MAX,
    OWNER_DUMPS_MAX,
    WEIGHTS,
    Evictions,
    HeldDump,
    enforce,
    next_to_go,
)
from blackbox.recorder.storage.dump_files import DumpFile, dump_name, dumps_in, new_dump

MIB = 1024 * 1024


def held(number: int, kind: str, uid: int | None, size: int = MIB, time: float | None = None) -> HeldDump:
    at = 60.0 * number if time is None else time
    return HeldDump(DumpFile(number, at, kind, None, uid, Path(f"{kind}-{number}")), size)


def arrive(dumps: list[HeldDump]) -> tuple[list[HeldDump], list[tuple[HeldDump, HeldDump]]]:
    """What is kept of dumps that come one after the other, and which went when which came."""
    kept: list[HeldDump] = []
    gone: list[tuple[HeldDump, HeldDump]] = []
    for dump in dumps:
        kept.append(dump)
        while (found := next_to_go(kept)) is not None:
            kept.remove(found[0])
            gone.append((found[0], dump))
    return kept, gone


arrivals = st.lists(
    st.tuples(
        st.sampled_from(WEIGHTS),
        st.sampled_from((None, 1001, 1002, 1003, 1004, 1005)),
        st.integers(0, 200 * MIB),
        st.floats(0, 2e9),
    ),
    max_size=80,
)


@given(arrivals)
def test_limits_are_kept_and_a_new_dump_stays_and_some_of_each_kind(
    rows: list[tuple[str, int | None, int, float]],
) -> None:
    kept, gone = arrive([held(number, *row) for number, row in enumerate(rows, 1)])
    owners: defaultdict[int | None, list[HeldDump]] = defaultdict(list)
    for one in kept:
        owners[one.dump.uid].append(one)
    assert len(kept) <= DUMPS_MAX
    assert len(kept) == 1 or sum(one.bytes for one in kept) <= DUMPS_BYTES_MAX
    for own in owners.values():
        assert len(own) <= OWNER_DUMPS_MAX
        assert len(own) == 1 or sum(one.bytes for one in own) <= OWNER_BYTES_MAX
        assert max(Counter(one.dump.kind for one in own).values()) <= KIND_DUMPS_MAX
    for went, came in gone:
        assert went is not came or went.bytes > OWNER_BYTES_MAX // 2, "a small new dump stays"


@given(arrivals)
def test_nobodys_dump_goes_for_another_user_while_all_fit(rows: list[tuple[str, int | None, int, float]]) -> None:
    few = [(kind, uid, min(size, 100 * MIB), time) for kind, uid, size, time in rows if uid not in (1004, 1005)]
    _, gone = arrive([held(number, *row) for number, row in enumerate(few, 1)])
    assert all(went.dump.uid == came.dump.uid for went, came in gone)


def test_the_newest_of_a_noise_thin_out_first() -> None:
    kept, gone = arrive([held(number, "xid", None) for number in range(1, KIND_DUMPS_MAX + 2)])
    assert [went.dump.number for went, _ in gone] == [KIND_DUMPS_MAX]
    assert [one.dump.number for one in kept] == [1, 2, 3, 4, 6]


def test_the_owner_with_the_most_makes_way_where_all_are_too_many() -> None:
    owners = [uid for uid in range(7) for _ in range(5)]
    dumps = [held(number, "oom", uid) for number, uid in enumerate(owners, 1)]
    dumps += [held(100 + number, "crash", 6) for number in range(5)]
    newcomer = held(200, "oom", 99)
    kept, gone = arrive([*dumps, newcomer])
    assert newcomer in kept
    assert {went.dump.uid for went, _ in gone} == {6}


def test_deleting_follows_our_count_whatever_time_a_name_bears(tmp_path: Path) -> None:
    for second in (9e9, 1e9, 2e9, 3e9, 4e9, 5e9):
        new_dump(tmp_path, "oom", 1, 1001, second).path.write_bytes(b"x")
    by_hand = tmp_path / dump_name("blackbox", 1e9)
    by_hand.write_bytes(b"x")
    evictions = Evictions()
    enforce(tmp_path, evictions)
    kept = dumps_in(tmp_path)
    assert by_hand.exists()
    assert [dump.number for dump in kept if dump.kind == "oom"][-1] == 6, "the newest by our count"
    assert evictions.by_kind() == {"oom": {"kind_dumps": 1}}


def test_names_tell_kind_process_owner_and_number(tmp_path: Path) -> None:
    dump = new_dump(tmp_path, "oom", 4711, 1000, 1_795_348_987.0)
    dump.path.write_bytes(b"x")
    assert dump.path.name == "oom-4711-20261122T120307Z-1-u1000.bbdump"
    (tmp_path / "oom-4711-20201122T120307Z.bbdump").write_bytes(b"made by an earlier version")
    (tmp_path / "notes.bbdump").write_bytes(b"not ours")
    assert [(found.number, found.pid, found.uid) for found in dumps_in(tmp_path)] == [(0, 4711, None), (1, 4711, 1000)]
    assert new_dump(tmp_path, "gpu_lost", None, None, 0.0).number == 2
