"""Both clients against the real server, through every door it has."""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blackbox.client import AsyncClient, Client, StatusError, UnreachableError
from blackbox.model.snapshot import Snapshot
from tests.running_server import RunningServer
from tests.tools import tool

TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    """A server that wants a token on its port and has a Unix socket."""
    home = tmp_path_factory.mktemp("home")
    (home / "token").write_text(TOKEN + "\n")
    flags = ["--demo", "--interval", "100ms", "--token-file", str(home / "token"), "--unix-socket", str(home / "sock")]
    with RunningServer(home, *flags, token=TOKEN) as server:
        yield server, home


def ask(kind: type[Client] | type[AsyncClient], url: str, **options: Any) -> tuple[Snapshot, list[int | None]]:
    """A snapshot, and the numbers of three events."""
    if kind is Client:
        client = Client(url, **options)
        with client.stream(gpu=0, blocks="none") as stream:
            return client.snapshot(gpu=0, blocks="summary"), [next(stream).seq for _ in range(3)]

    async def run() -> tuple[Snapshot, list[int | None]]:
        client = AsyncClient(url, **options)
        async with client.stream(gpu=0, blocks="none") as stream:
            return await client.snapshot(gpu=0, blocks="summary"), [(await anext(stream)).seq for _ in range(3)]

    return asyncio.run(run())


def check(answer: tuple[Snapshot, list[int | None]]) -> None:
    snapshot, numbers = answer
    assert {gpu.index for gpu in snapshot.gpus} == {0}
    assert snapshot.blocks_summary
    first = numbers[0]
    assert first is not None
    assert numbers == [first, first + 1, first + 2]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_with_a_token(guarded: tuple[RunningServer, Path], kind: type[Client] | type[AsyncClient]) -> None:
    server, _ = guarded
    check(ask(kind, server.url, token=TOKEN))
    with pytest.raises(StatusError, match="401"):
        ask(kind, server.url)
    with pytest.raises(StatusError, match="401"):
        ask(kind, server.url, token="wrong")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_through_the_unix_socket(guarded: tuple[RunningServer, Path], kind: type[Client] | type[AsyncClient]) -> None:
    _, home = guarded
    check(ask(kind, "http://localhost", unix_socket=home / "sock", token=TOKEN))


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_over_tls(tmp_path: Path, kind: type[Client] | type[AsyncClient]) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([tool("openssl", "openssl"), *make.split(), *names], check=True, capture_output=True)
    flags = ["--demo", "--interval", "100ms", "--tls-cert", str(certificate), "--tls-key", str(key)]
    with RunningServer(tmp_path, *flags) as server:
        check(ask(kind, server.url, tls=ssl.create_default_context(cafile=str(certificate))))
        with pytest.raises(UnreachableError, match="certificate"):
            ask(kind, server.url)
