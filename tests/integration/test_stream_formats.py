"""Very many formats of stream: few are encoded on the thread that samples, and every stream still gets events."""

import json
import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from blackbox import hub as hub_module
from blackbox.merge import Merged
from blackbox.model.view import ShapeDetail
from blackbox.server.streams import snapshot_broadcast
from tests.moments import device, sample
from tests.serving import Raw, Serving
from tests.waiting import until

GPUS = 34
PATHS = [f"/vram/stream?gpu={gpu}&blocks={blocks}" for gpu in range(GPUS) for blocks in ("full", "summary", "none")]
ENCODINGS = ("identity", "gzip")
FORMATS = [(path, encoding) for path in PATHS for encoding in ENCODINGS]
MOMENTS = 3


def next_seq(raw: Raw) -> int:
    """Number of the next event of a stream that is not compressed."""
    raw.until(b"data: ")
    return int(json.loads(raw.until(b"\n\n"))["seq"])


@pytest.mark.fault(60)
def test_row_60_of_204_formats_few_are_encoded_on_the_samplers_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(FORMATS) == 204
    encoded: Counter[int] = Counter()
    json_pieces = Merged.json_pieces

    def counted(merged: Merged, detail: ShapeDetail, blocks_max: int) -> tuple[bytes, ...]:
        encoded[threading.get_ident()] += 1
        return json_pieces(merged, detail, blocks_max)

    with Serving() as serving, ExitStack() as stack:
        machine = sample(device(index) for index in range(GPUS))
        serving.publish(machine)
        streams: list[tuple[Raw, str]] = []
        for path, encoding in FORMATS:
            raw = stack.enter_context(serving.connect())
            raw.request(path, accept_encoding=encoding)
            streams.append((raw, encoding))
        until(lambda: serving.server.stats.frames_sent_total == len(FORMATS))
        monkeypatch.setattr(Merged, "json_pieces", counted)
        for _ in range(MOMENTS):
            serving.publish(machine)
        newest = serving.seq
        ahead = snapshot_broadcast.FORMATS_AHEAD_MAX + hub_module.SHAPES_MAX
        assert encoded[threading.get_ident()] <= MOMENTS * ahead
        for raw, encoding in streams:
            if encoding == "identity":
                while next_seq(raw) < newest:
                    pass
        assert encoded.total() > encoded[threading.get_ident()]
        assert encoded[threading.get_ident()] <= MOMENTS * ahead
