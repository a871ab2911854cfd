"""Requests that are asked again and again: each answer is the one that would be made for it now."""

import os
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blackbox.settings import Settings
from tests.moments import GIB, TRAINER, allocator, device, process, sample
from tests.serving import QUICK, Raw, Serving

TOKENS = ("first", "second")
PATHS = ("/vram", "/vram?blocks=none", "/vram?gpu=0", "/vram?gpu=7", "/vram/columns", "/livez", "/nope")
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer first"},
    {"Authorization": "Bearer second"},
    {"Authorization": "Bearer first", "Accept_Encoding": "gzip"},
    {"Authorization": "Bearer second", "Origin": "http://evil.example"},
    {"Authorization": "Bearer first", "host": "evil.example"},
)
UNIQUE = count()


@pytest.fixture(scope="module")
def token_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "token")
        path.write_text(f"{TOKENS[0]}\n")
        yield path


@pytest.fixture(scope="module")
def serving(token_file: Path) -> Iterator[Serving]:
    with Serving(Settings(port=0, token_file=token_file), QUICK) as made:
        made.publish()
        yield made


def asked(serving: Serving, raw: Raw, path: str, headers: dict[str, str]) -> tuple[Any, ...]:
    """The answer but for its date, which may change meanwhile."""
    raw.request(path, **headers)
    reply = raw.reply()
    fields = {name: value for name, value in reply.headers.items() if name != "date"}
    return reply.status, fields, reply.body


@given(
    st.lists(
        st.one_of(
            st.just("publish"),
            st.sampled_from([f"token {token}" for token in TOKENS]),
            st.tuples(st.sampled_from(PATHS), st.sampled_from(HEADERS)),
        ),
        max_size=12,
    )
)
@settings(max_examples=40)
def test_an_answer_given_again_is_the_one_that_would_be_made(
    serving: Serving, token_file: Path, steps: list[str | tuple[str, dict[str, str]]]
) -> None:
    with serving.connect() as raw:
        for step in steps:
            if step == "publish":
                serving.publish()
            elif isinstance(step, str):
                token_file.write_text(f"{step.split()[1]}\n")
                serving.call(serving.server.reload)
            else:
                path, headers = step
                answers = [asked(serving, raw, path, headers) for _ in range(3)]
                never_asked_before = asked(serving, raw, path, {**headers, "X_Unique": str(next(UNIQUE))})
                assert answers == [never_asked_before] * 3


def test_every_answer_is_counted(serving: Serving, token_file: Path) -> None:
    token_file.write_text("first\n")
    serving.call(serving.server.reload)
    serving.publish()
    before = serving.server.stats.requests_total["/vram", 200]
    sent = serving.server.stats.bytes_sent_total
    with serving.connect() as raw:
        for _ in range(20):
            raw.request("/vram", Authorization="Bearer first")
            assert raw.reply().status == 200
    assert serving.server.stats.requests_total["/vram", 200] == before + 20
    assert serving.server.stats.bytes_sent_total - sent > 20 * 1000


def test_users_of_a_unix_socket_get_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.getuid()
    told = sample(
        (device(0),),
        (process(TRAINER, uid=uid + 1, used_bytes=5 * GIB),),
        allocators=(allocator(TRAINER, uid=uid + 1),),
    )
    path = tmp_path / "socket"
    askers = iter((uid, uid + 2, uid, uid + 2))
    monkeypatch.setattr("blackbox.server.connection._peer_uid", lambda transport: next(askers))
    monkeypatch.setattr("blackbox.server.auth.access.ROOT_UID", -1)
    with Serving(Settings(port=0, unix_socket=path)) as serving:
        serving.publish(told)
        bodies = []
        for _ in range(4):
            with Raw.unix(path) as raw:
                replies = [asked(serving, raw, "/vram", {})[2] for _ in range(2)]
                assert replies[0] == replies[1]
                bodies.append(replies[0])
    assert bodies[0] == bodies[2] != bodies[1] == bodies[3]
