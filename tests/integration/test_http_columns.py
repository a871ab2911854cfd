"""Blocks as columns, over HTTP: made once, told again only where they changed, and only to whom they may be told."""

import os
import time
import zlib
from collections.abc import Iterator

import pytest
import zstandard

from blackbox.client import Client, StatusError
from blackbox.merge.process_memory import OTHER_USER
from blackbox.model.block_table import CONTENT_TYPE, BlockTable, decode
from blackbox.model.sample import Sample
from blackbox.settings import Settings
from tests.moments import GIB, TRAINER, allocator, device, moment, process, sample
from tests.recordings import recorded
from tests.serving import Serving

START = float(int(time.time()) - 10)
OTHER = TRAINER + 10
OTHER_UID = 54321


def mine_and_theirs() -> Sample:
    return sample(
        (device(0),),
        (
            process(TRAINER, uid=os.getuid(), used_bytes=5 * GIB),
            process(OTHER, uid=OTHER_UID, used_bytes=5 * GIB),
        ),
        allocators=(allocator(TRAINER), allocator(OTHER)),
    )


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("data")
    settings = Settings(port=0, unix_socket=folder / "sock")
    moments = [moment(mine_and_theirs(), seq=number + 1, timestamp=START + number) for number in range(3)]
    with recorded(folder, moments) as recorder, Serving(settings, recording=recorder.recording) as made:
        made.publish(mine_and_theirs())
        yield made


def rows_of(table: BlockTable) -> dict[int, list[str | None]]:
    """Pid -> who told its parts."""
    found: dict[int, list[str | None]] = {}
    for part in table.head.parts:
        found.setdefault(part.pid, []).append(part.source)
    return found


def test_an_answer_has_a_tag_and_comes_once(serving: Serving) -> None:
    first = serving.ask("/vram/columns")
    assert (first.status, first.headers["content-type"]) == (200, CONTENT_TYPE)
    again = serving.ask("/vram/columns", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    serving.publish(mine_and_theirs())
    assert serving.ask("/vram/columns", if_none_match=first.headers["etag"]).status == 200


def test_it_comes_compressed_where_the_client_likes_that(serving: Serving) -> None:
    plain = serving.ask("/vram/columns").body
    zstd = serving.ask("/vram/columns", accept_encoding="zstd")
    gzip = serving.ask("/vram/columns", accept_encoding="gzip")
    assert zstandard.ZstdDecompressor().decompress(zstd.body, 2**20) == plain
    assert zlib.decompress(gzip.body, 31) == plain


def test_the_insides_of_other_users_processes_are_not_told(serving: Serving) -> None:
    """Over TCP without a token everybody is the server's own user."""
    for when in (None, START + 1):
        table = Client(serving.url).columns(time=when)
        assert rows_of(table) == {TRAINER: ["pytorch", None], OTHER: [None]}
        assert {part.reason for part in table.head.parts if part.pid == OTHER} == {OTHER_USER}


def test_what_is_the_same_is_not_sent_again(serving: Serving) -> None:
    client = Client(serving.url)
    first = client.columns()
    seen = mine_and_theirs()
    serving.publish(seen)
    second = client.columns(since=first)
    assert second.head.since == first.head.version
    assert all(part.same for part in second.head.parts if part.source is None)
    assert second.column("size").tolist() == first.column("size").tolist()


def test_a_version_that_nobody_knows_gets_everything(serving: Serving) -> None:
    found = decode(serving.ask("/vram/columns?since=ffff-1").body)
    assert found.head.since is None
    assert not any(part.same for part in found.head.parts)


def test_a_moment_of_the_recording_as_columns(serving: Serving) -> None:
    found = Client(serving.url).columns(time=START + 1)
    assert found.head.seq == 2
    assert len(found)
    with pytest.raises(StatusError, match="404"):
        Client(serving.url).columns(time=START - 1000)


def test_one_gpu(serving: Serving) -> None:
    assert Client(serving.url).columns(gpu="GPU-0").head.rows
    with pytest.raises(StatusError, match="404"):
        Client(serving.url).columns(gpu=9)
