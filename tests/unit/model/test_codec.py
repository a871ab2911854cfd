"""Snapshots as bytes, in every encoding a client may ask for."""

import gzip

import msgspec
import pytest
import zstandard

from blackbox.merge import merge
from blackbox.model.codec import compress, from_json, to_json
from blackbox.model.sample import ProcessExit, Sample
from blackbox.model.view import Encoding
from tests.unit.model.test_view import moment_of_blocks


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_every_encoding_gives_the_same_json_back(encoding: Encoding) -> None:
    body = to_json(merge(moment_of_blocks(50)))
    packed = compress(body, encoding)
    decoders = {"identity": bytes, "gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompress}
    assert decoders[encoding](packed) == body
    if encoding != "identity":
        assert len(packed) * 4 < len(body)


def test_json_reads_back_as_the_same_snapshot() -> None:
    snapshot = merge(moment_of_blocks(5))
    assert from_json(to_json(snapshot)) == snapshot


def test_exits_of_processes_keep_their_key_in_dumps_and_between_processes() -> None:
    ended = ProcessExit(pid=7, start_time=1.0, timestamp=2.0, name="train", uid=0, ended="killed", signal=9)
    packed = msgspec.msgpack.encode(Sample(source="agents", taken_at=1.0, process_exits=(ended,)))
    assert msgspec.msgpack.decode(packed)["endings"][0]["pid"] == 7
    assert msgspec.msgpack.decode(packed, type=Sample).process_exits == (ended,)
