"""The way to ClickHouse: addresses, secrets, and what its errors mean."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import zstandard

from blackbox.errors import FailureError, UsageError
from blackbox.fleet.send import Access, EngineConnection, EngineError, access, checked_url, error_kind


class Engine(ThreadingHTTPServer):
    """Answers as it is told."""

    status, headers, body = 200, {"X-ClickHouse-Summary": '{"read_rows":"7"}'}, b'{"a":1}\n{"a":null}\n'
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.hangs_up = 0
        """Requests to end without an answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Engine)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append((self.path, dict(self.headers), body))
        if server.hangs_up:
            server.hangs_up -= 1
            self.close_connection = True
            return
        self.send_response(server.status)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connection(engine: Engine) -> Iterator[EngineConnection]:
    made = EngineConnection(Access(engine.url, "ship", "geheim"))
    yield made
    made.close()


def test_rows_come_with_what_they_cost(engine: Engine, connection: EngineConnection) -> None:
    answer = connection.execute("SELECT a", parameters={"x": 1})
    assert answer.rows() == [{"a": 1}, {"a": None}]
    assert answer.read_rows == 7
    ((path, headers, body),) = engine.requests
    assert body == b"SELECT a"
    assert "param_x=1" in path
    assert "database=blackbox" in path
    assert "geheim" not in path
    assert (headers["X-ClickHouse-User"], headers["X-ClickHouse-Key"]) == ("ship", "geheim")


def test_what_is_inserted_is_compressed(engine: Engine, connection: EngineConnection) -> None:
    connection.execute("INSERT INTO t FORMAT JSONEachRow", [b"{}\n" * 400, b"{}\n" * 600])
    ((path, headers, body),) = engine.requests
    assert headers["Content-Encoding"] == "zstd"
    assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == b"{}\n" * 1000
    assert "INSERT" in path


def test_a_token_stands_alone(engine: Engine) -> None:
    connection = EngineConnection(Access(engine.url, token="t0ken"))
    connection.execute("SELECT 1")
    connection.close()
    ((_, headers, _),) = engine.requests
    assert headers["Authorization"] == "Bearer t0ken"
    assert "X-ClickHouse-User" not in headers


def test_a_connection_that_was_closed_meanwhile_is_made_again(engine: Engine, connection: EngineConnection) -> None:
    connection.execute("SELECT 1")
    engine.hangs_up = 1
    assert connection.execute("SELECT 2").rows()
    assert [body for _, _, body in engine.requests] == [b"SELECT 1", b"SELECT 2", b"SELECT 2"]


def test_an_engine_that_always_hangs_up_is_given_up(engine: Engine, connection: EngineConnection) -> None:
    engine.hangs_up = 10
    with pytest.raises(EngineError) as raised:
        connection.execute("SELECT 1")
    assert raised.value.kind == "passing"
    assert len(engine.requests) == 1


def test_nobody_there() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # and never listens
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        with pytest.raises(EngineError) as raised:
            EngineConnection(Access(url)).execute("SELECT 1")
    assert (raised.value.kind, str(raised.value)) == ("passing", f"{url} does not answer: Connection refused")


def test_what_is_no_engine_is_told_without_numbers_of_the_system(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        quick = EngineConnection(Access(f"http://127.0.0.1:{mute.getsockname()[1]}"), timeout_seconds=0.01)
        with pytest.raises(EngineError, match=r"does not answer: timed out$"):
            quick.execute("SELECT 1")
    with pytest.raises(EngineError, match=r"does not answer: TLS failed: [a-z ]+$"):
        EngineConnection(Access(engine.url.replace("http:", "https:"))).execute("SELECT 1")
    with pytest.raises(EngineError, match=r"does not answer: Name or service not known$|Temporary failure in name"):
        EngineConnection(Access("https://nowhere.invalid:8443")).execute("SELECT 1")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, 691, "batch"),
        (500, 467, "batch"),
        (500, 131, "batch"),
        (500, 469, "batch"),
        (500, 252, "passing"),
        (500, 241, "passing"),
        (500, 202, "passing"),
        (408, 159, "passing"),
        (404, 60, "setup"),
        (404, 81, "setup"),
        (404, 16, "setup"),
        (500, 164, "setup"),
        (401, 516, "setup"),
        (403, 516, "setup"),
        (500, 9999, "unknown"),
        (500, None, "passing"),
        (503, None, "passing"),
        (429, None, "passing"),
        (302, None, "setup"),
        (413, None, "batch"),
        (418, None, "unknown"),
    ],
)
def test_the_exception_code_says_what_to_do_and_the_status_only_without_one(
    status: int, code: int | None, kind: str
) -> None:
    assert error_kind(status, code) == kind


def test_an_error_is_one_line_with_the_number(engine: Engine, connection: EngineConnection) -> None:
    engine.status, engine.headers = 404, {"X-ClickHouse-Exception-Code": "60"}
    engine.body = b"Code: 60. DB::Exception: Table x does not exist.\n" + b"stack\n" * 1000
    with pytest.raises(EngineError) as raised:
        connection.execute("SELECT 1")
    assert (raised.value.kind, raised.value.code) == ("setup", 60)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_an_error_that_comes_after_the_status_counts(engine: Engine, connection: EngineConnection) -> None:
    engine.headers = {"X-ClickHouse-Exception-Code": "241"}
    with pytest.raises(EngineError) as raised:
        connection.execute("SELECT 1")
    assert raised.value.kind == "passing"


@pytest.mark.parametrize(
    "url",
    [
        "http://db.example.org:8123",
        "ftp://localhost",
        "localhost:8123",
        "https://user:secret@db.example.org",
        "https://db.example.org/?password=secret",
        "https://db.example.org:99999999",
        "http://127.0.0.1.example.org",
        "",
    ],
)
def test_an_address_that_will_not_do(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        checked_url(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:8123", "http://127.0.0.1:1/", "http://[::1]:8123", "https://db.example.org"]
)
def test_an_address_that_will(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


def test_secrets_come_from_files_that_nobody_else_reads(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("geheim\n")
    file.chmod(0o600)
    assert access("http://localhost:1", user="u", password_file=file).password == "geheim"
    assert access("http://localhost:1", token_file=file).token == "geheim"
    with pytest.raises(UsageError, match="needs a user"):
        access("http://localhost:1", password_file=file)
    with pytest.raises(UsageError, match="exclude"):
        access("http://localhost:1", user="u", password_file=file, token_file=file)
    with pytest.raises(UsageError, match="database"):
        access("http://localhost:1", database="a b")
    file.chmod(0o644)
    with pytest.raises(FailureError, match="chmod 600"):
        access("http://localhost:1", user="u", password_file=file)
    file.chmod(0o600)
    file.write_text("two\nlines\n")
    with pytest.raises(FailureError, match="one line"):
        access("http://localhost:1", token_file=file)


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"certificates in .*none.pem: No such file or directory$") as raised:
        EngineConnection(Access("https://localhost:1", ca=tmp_path / "none.pem"))
    assert raised.value.kind == "setup"
