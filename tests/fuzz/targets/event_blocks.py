"""The blocks of a failed allocation in the log of events: what is inside of their checksum."""

from collections.abc import Sequence
from functools import cache

from blackbox.recorder.storage.compression import DamageError, pack, unpack
from blackbox.recorder.storage.event_blocks import pack_blocks, unpack_blocks
from tests.failures import listed

ALLOWED = (DamageError,)


@cache
def seeds() -> Sequence[bytes]:
    return [unpack(pack_blocks(listed(rows))) for rows in (0, 1, 40)]


def run(data: bytes) -> None:
    blocks = unpack_blocks(pack(data))
    assert len(blocks[:]) == len(blocks)
