"""Whole moments, packed together."""

import pytest

from blackbox.model.snapshot import Moment
from blackbox.recorder.storage.compression import DamageError
from blackbox.recorder.storage.frames import Frame, pack_frames, to_bytes, to_moment, unpack_frames
from tests.moments import moment
from tests.recorded_moments import series


def test_a_moment_with_everything_in_it_comes_back() -> None:
    whole = moment()
    assert to_moment(to_bytes(whole)) == whole


def packed(moments: list[Moment]) -> bytes:
    return pack_frames([Frame(one.timestamp, to_bytes(one)) for one in moments])


def test_a_frame_alone_comes_back() -> None:
    frame = Frame(1e9 + 0.1, to_bytes(moment()))
    assert Frame.from_alone(frame.alone()) == frame
    with pytest.raises(DamageError):
        Frame.from_alone(b"1234567")


def test_frames_come_back_in_order() -> None:
    moments = list(series(1e9, 60, blocks=True))
    assert unpack_frames(packed(moments)) == [Frame(one.timestamp, to_bytes(one)) for one in moments]


def test_moments_in_a_row_take_little_beside_the_first() -> None:
    moments = list(series(1e9, 60, blocks=True))
    assert len(packed(moments)) < len(packed(moments[:1])) + 40 * len(moments)


def test_a_body_that_is_no_moment_is_damage() -> None:
    with pytest.raises(DamageError):
        to_moment(b"\xc0")
