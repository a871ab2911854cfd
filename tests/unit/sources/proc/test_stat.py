"""The one parser of stat files, on what the kernel writes and on what it never would."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.proc.stat import Stat, boot_time, parse, read

names = st.binary(max_size=15).filter(lambda name: b"\n" not in name)
numbers = st.integers(0, 2**31)


@given(names, st.sampled_from([b"R", b"S", b"D", b"Z"]), st.lists(numbers, min_size=49, max_size=60))
def test_every_field_is_read_past_any_name(name: bytes, state: bytes, rest: list[int]) -> None:
    data = b"7 (" + name + b") " + b" ".join([state, *(str(number).encode() for number in rest)]) + b"\n"
    assert parse(data) == Stat(
        name=name,
        state=state,
        parent=rest[0],
        session=rest[2],
        flags=rest[5],
        cpu_ticks=rest[10] + rest[11],
        threads=rest[16],
        start_ticks=rest[18],
        arguments_at=rest[44],
        wait_status=rest[48],
    )


@given(st.none() | st.binary(max_size=300))
def test_nonsense_is_none_and_no_error(data: bytes | None) -> None:
    found = parse(data)
    assert found is None or isinstance(found.start_ticks, int)


@given(st.integers(0, 200))
def test_a_file_that_is_cut_short_is_none_or_true(length: int) -> None:
    whole = b"7 (a) S " + b" ".join(b"%d" % number for number in range(100, 150))
    found, all_of_it = parse(whole[:length]), parse(whole)
    assert all_of_it is not None
    assert found is None or (found.parent, found.session) == (all_of_it.parent, all_of_it.session)


def test_our_own_process_is_the_child_of_our_parent() -> None:
    found = parse(read(f"/proc/{os.getpid()}/stat"))
    assert found is not None
    assert (found.parent, found.session) == (os.getppid(), os.getsid(0))
    assert found.start_ticks > 0


def test_the_time_of_boot_is_found_behind_lines_of_any_length(tmp_path: Path) -> None:
    assert boot_time(tmp_path) is None
    (tmp_path / "stat").write_text(f"cpu 1 2 3\nintr {'0 ' * 200_000}\nbtime 1700000000\n")
    assert boot_time(tmp_path) == 1_700_000_000.0


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "gone") is None
