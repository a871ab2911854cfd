"""One file that holds some minutes: what goes in comes out, damage costs its own part, secrets stay at home."""

from pathlib import Path

import pytest
from msgspec import structs

from blackbox.errors import FailureError
from blackbox.model.moment import Moment
from blackbox.recorder.dumps import file as dump_module
from blackbox.recorder.dumps.file import MAGIC, Dump, is_dump, new_head, write_dump
from tests import failures, incidents
from tests.failures import listed
from tests.moments import device, moment, process, sample

HEAD = new_head("test", 0.0, 1e12)


def write(path: Path, moments: tuple[Moment, ...]) -> Path:
    write_dump(path, HEAD, moments, incidents.events(moments))
    return path


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    moments = incidents.leak()[-20:]
    dump = Dump(write(tmp_path / "x.bbdump", moments))
    assert tuple(dump.moments()) == moments
    assert dump.events() == incidents.events(moments)
    assert (dump.damaged, dump.is_cut) == (0, False)
    assert dump.head == HEAD


def test_a_range_of_it_can_be_read(tmp_path: Path) -> None:
    moments = incidents.leak()[:10]
    dump = Dump(write(tmp_path / "x.bbdump", moments))
    assert list(dump.moments(moments[3].timestamp, moments[5].timestamp)) == list(moments[3:6])


def test_some_far_apart_and_the_last_can_be_read(tmp_path: Path) -> None:
    moments = incidents.leak()[:20]
    dump = Dump(write(tmp_path / "x.bbdump", moments))
    assert list(dump.moments_apart(2.0, moments[10].timestamp)) == [moments[0], moments[4], moments[8], moments[10]]
    assert list(dump.moments_apart(2.0, moments[8].timestamp)) == [moments[0], moments[4], moments[8]]


def test_it_is_for_its_owner_alone_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bbdump", incidents.leak()[:2])
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_largest_part_of_a_cut_dump_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_module, "BATCH_BYTES", 1)
    moments = incidents.leak()[:8]
    whole = write(tmp_path / "x.bbdump", moments).read_bytes()
    path = tmp_path / "cut.bbdump"
    before = -1
    for length in range(len(MAGIC), len(whole), 397):
        path.write_bytes(whole[:length])
        try:
            dump = Dump(path)
        except FailureError:
            continue  # cut within its head
        found = tuple(dump.moments())
        assert found == moments[: len(found)]
        assert len(found) >= before
        assert dump.is_cut
        before = len(found)
    assert before >= len(moments) - 1


def test_a_flipped_byte_costs_records_and_never_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_module, "BATCH_BYTES", 1)
    moments = incidents.leak()[:3]
    whole = bytearray(write(tmp_path / "x.bbdump", moments).read_bytes())
    path = tmp_path / "flipped.bbdump"
    for place in range(0, len(whole), 211):
        whole[place] ^= 0x10
        path.write_bytes(whole)
        whole[place] ^= 0x10
        try:
            found = list(Dump(path).moments())
        except FailureError:
            continue
        assert all(one in moments for one in found)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", MAGIC[:-1] + b"\xff", MAGIC, MAGIC + b"\x01\xff\xff\xff\xff"])
def test_what_is_no_dump_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(FailureError) as caught:
        Dump(path)
    assert "\n" not in str(caught.value)
    assert is_dump(path) == content.startswith(MAGIC[:-1])


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="No such file or directory"):
        write(tmp_path / "nowhere" / "x.bbdump", ())


def test_arguments_and_secrets_stay_at_home(tmp_path: Path) -> None:
    telling = moment(
        sample(
            (device(0),),
            (process(name="python --api-key hunter2 train.py"),),
            reason="https://me:hunter2@host/x",
        )
    )
    event = structs.replace(incidents.events(incidents.leak())[0], message="token=hunter2 expired")
    path = tmp_path / "x.bbdump"
    write_dump(path, new_head("password: hunter2", 0, 1), [telling], [event])
    dump = Dump(path)
    (found,) = dump.moments()
    assert found.samples[0].processes[0].name == "python"
    assert "hunter2" not in repr((found, dump.events(), dump.head))
    assert found.samples[0].devices == telling.samples[0].devices


def test_the_blocks_of_failures_come_out_of_as_many_records_as_they_need(tmp_path: Path) -> None:
    told = [failures.with_blocks(listed(rows)) for rows in (30_000, 3, 0, 20_000)]
    path = tmp_path / "x.bbdump"
    write_dump(path, HEAD, [], told)
    dump = Dump(path)
    assert dump.events() == told
    assert (dump.damaged, dump.is_cut) == (0, False)
