"""Who may ask, under which name, from which page, and what they may see."""

import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from msgspec import structs

from blackbox.errors import FailureError, UsageError
from blackbox.model.endpoints import ENDPOINTS
from blackbox.server.auth import credentials
from blackbox.settings import Settings
from tests.certificates import make_certificate
from tests.moments import GIB, TRAINER, allocator, device, process, sample
from tests.serving import WATCHFUL, Raw, Reply, Serving
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS, until

ROUTES = (*(endpoint.path for endpoint in ENDPOINTS if not endpoint.is_public), "/nope")
FOREIGN_HOSTS = [
    f"{name}{port}"
    for name in (
        "evil.example", "localhost.evil.example", "evil-localhost", "127.0.0.1.nip.io", "127.0.0.1.evil.example",
        "1.0.0.127.in-addr.arpa", "localhost.localdomain.evil", "xn--lcalhost-n4a", "evil.example.", "localhost@evil",
        "evil@localhost", "localhost#x", "localhost/x", "localhost?x", "localhost\\evil", "0x7f000001", "2130706433",
        "127.1", "127.0.1", "017700000001", "0177.0.0.1", "127.0.0.1x", "[::1].evil", "[evil]", "[::ffff:127.0.0.1",
        "::1", "_", "-", "..", "*", "%6c%6f%63%61%6c%68%6f%73%74", "localhost,evil", "localhost evil", "\"localhost\"",
        "l\xf6calhost", "LOCALHOST.EVIL", "rebind.network", "7f000001.c0a80001.rbndr.us", "localho\xdft", "a" * 300,
    )
    for port in ("", ":80", ":6767", ":0", ":65535")
]  # fmt: skip
OTHER_UID = 54321


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as made:
        made.publish()
        yield made


def mine_and_theirs() -> Any:
    """One GPU with a process of this user and one of another, both looked into."""
    return sample(
        (device(0),),
        (
            process(TRAINER, uid=os.getuid(), used_bytes=5 * GIB),
            process(TRAINER + 10, uid=OTHER_UID, used_bytes=5 * GIB),
        ),
        allocators=(allocator(TRAINER), allocator(TRAINER + 10)),
    )


def seen_inside(reply: Reply) -> set[int]:
    """Pids whose blocks the answer shows."""
    assert reply.status == 200
    return {row["pid"] for row in json.loads(reply.body)["blocks"] if row.get("subtype") != "opaque"}


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


# Row 40: Host and Origin


@pytest.mark.fault(40)
def test_row_40_a_foreign_host_is_refused_on_every_route(serving: Serving) -> None:
    assert len(FOREIGN_HOSTS) >= 200
    for path in ROUTES:
        assert serving.ask(path, host="evil.example").status == 403
    for host in FOREIGN_HOSTS:
        reply = serving.ask("/vram", host=host)
        assert reply.status in (400, 403), host
        assert reply.headers["content-type"] == "text/plain"
        assert b"total_bytes" not in reply.body


@pytest.mark.fault(40)
def test_row_40_a_foreign_absolute_target_is_refused(serving: Serving) -> None:
    assert serving.ask("http://evil.example/vram").status == 403
    assert serving.ask("http://localhost/vram").status == 200


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://localhost:1", "null", "http://localhost:3000", "file://", ""]
)
@pytest.mark.parametrize("path", ROUTES)
def test_row_40_a_foreign_page_is_refused_on_every_route(serving: Serving, path: str, origin: str) -> None:
    reply = serving.ask(path, origin=origin)
    assert (reply.status, reply.headers["content-type"]) == (403, "text/plain")
    assert not any(name.startswith("access-control") for name in reply.headers)
    assert serving.server.stats.streams_open == 0


@pytest.mark.fault(40)
def test_row_40_a_foreign_page_cannot_ask_by_an_image_either(serving: Serving) -> None:
    assert serving.ask("/vram/stream", sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403


@pytest.mark.fault(40)
def test_row_40_no_cors_field_unless_asked_for(serving: Serving) -> None:
    host = f"localhost:{serving.port}"
    reply = serving.ask("/vram", host=host, origin=f"http://{host}")
    assert reply.status == 200
    assert not any(name.startswith("access-control") for name in reply.headers)
    assert serving.ask("/vram", "OPTIONS", origin="http://a.example", access_control_request_method="GET").status == 403


def test_this_machines_names_are_accepted(serving: Serving) -> None:
    for host in ("localhost", "127.0.0.1:6767", "[::1]", "10.9.8.7", socket.gethostname()):
        assert serving.ask("/readyz", host=host).status == 200


def test_allowed_names_and_origins_are_accepted() -> None:
    settings = Settings(port=0, allowed_hosts=("gpu.example",), cors_origins=("https://grafana.example",))
    with Serving(settings) as open_to_some:
        open_to_some.publish()
        ask = open_to_some.ask
        assert ask("/vram", host="gpu.example:6767").status == 200
        reply = ask("/vram", origin="https://grafana.example", accept_encoding="gzip")
        assert reply.headers["access-control-allow-origin"] == "https://grafana.example"
        assert reply.headers["vary"] == "Accept-Encoding, Origin"
        assert ask("/nope", origin="https://grafana.example").headers["access-control-allow-origin"]
        assert ask("/vram", origin="https://evil.example").status == 403
        assert "access-control-allow-origin" not in ask("/vram").headers
        preflight = ask("/vram", "OPTIONS", origin="https://grafana.example", access_control_request_method="GET")
        assert (preflight.status, preflight.body) == (204, b"")
        assert preflight.headers["access-control-allow-methods"] == "GET, HEAD"
        with open_to_some.connect() as raw:
            raw.request("/vram/stream", origin="https://grafana.example")
            assert b"Access-Control-Allow-Origin: https://grafana.example\r\n" in raw.until(b"\r\n\r\n")


# Row 41: loopback by default


def listening_on(port: int) -> set[str]:
    """Addresses that the kernel listens on at this port."""
    found = subprocess.run(
        [tool("ss", "iproute2"), "-ltnH", f"sport = :{port}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return {line.split()[3].rpartition(":")[0] for line in found.stdout.splitlines()}


@pytest.mark.fault(41)
def test_row_41_only_loopback_listens_by_default(serving: Serving) -> None:
    assert Settings().hosts == ("127.0.0.1", "::1")
    found = listening_on(serving.port)
    assert "127.0.0.1" in found
    assert found <= {"127.0.0.1", "[::1]"}


@pytest.mark.fault(41)
def test_row_41_a_wider_bind_refuses_to_start_without_protection() -> None:
    with (
        pytest.raises(UsageError, match="--token-file, --web-config or --no-auth"),
        Serving(Settings(port=0, hosts=("0.0.0.0",))),
    ):
        pass


@pytest.mark.fault(41)
def test_row_41_a_wider_bind_can_be_asked_for() -> None:
    with Serving(Settings(port=0, hosts=("0.0.0.0",), no_auth=True)) as wide:
        assert listening_on(wide.port) == {"0.0.0.0"}
        assert wide.ask("/nope").status == 404


def test_an_address_that_is_none_of_ours_is_named() -> None:
    for host, kind in (("203.0.113.7", FailureError), ("no such host", UsageError)):
        with pytest.raises(kind, match=host), Serving(Settings(port=0, hosts=(host,), no_auth=True)):
            pass


@pytest.mark.fault(34)
def test_row_34_a_taken_port_is_named_and_nothing_stays_open(serving: Serving) -> None:
    taken_port = f"port {serving.port} on 127.0.0.1 is already in use"
    with pytest.raises(FailureError, match=taken_port), Serving(Settings(port=serving.port)):
        pass
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FailureError, match=f"port {port} on ::1"), Serving(Settings(port=port)):
            pass
        assert listening_on(port) == {"[::1]"}


# Row 42: other users of the machine


@pytest.mark.fault(42)
def test_row_42_open_tcp_shows_the_insides_of_the_servers_own_processes_alone() -> None:
    with Serving() as serving:
        serving.publish(mine_and_theirs())
        assert seen_inside(serving.ask("/vram")) == {TRAINER}
        with serving.connect() as raw:
            raw.request("/vram/stream")
            raw.until(b"data: ")
            snapshot = json.loads(raw.until(b"\n\n"))
        assert {row["pid"] for row in snapshot["blocks"] if row.get("subtype") != "opaque"} == {TRAINER}


@pytest.mark.fault(42)
def test_row_42_a_token_shows_all(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    with Serving(Settings(port=0, token_file=tmp_path / "token")) as serving:
        serving.publish(mine_and_theirs())
        assert seen_inside(serving.ask("/vram", authorization="Bearer s3cret")) == {TRAINER, TRAINER + 10}


def test_open_tcp_shows_in_metrics_what_allocators_of_the_servers_own_processes_hold(tmp_path: Path) -> None:
    reserved = "blackbox_process_memory_reserved_bytes"
    (tmp_path / "token").write_text("s3cret")

    def pids(reply: Reply) -> set[int]:
        lines = [line for line in reply.body.decode().splitlines() if line.startswith(reserved + "{")]
        return {pid for pid in (TRAINER, TRAINER + 10) if any(f'pid="{pid}"' in line for line in lines)}

    with Serving(Settings(port=0, process_metrics=True)) as serving:
        serving.publish(structs.replace(mine_and_theirs(), devices=(device(0, taken_at=time.monotonic()),)))
        assert pids(serving.ask("/metrics")) == {TRAINER}
    with Serving(Settings(port=0, process_metrics=True, token_file=tmp_path / "token")) as serving:
        serving.publish(structs.replace(mine_and_theirs(), devices=(device(0, taken_at=time.monotonic()),)))
        assert pids(serving.ask("/metrics", authorization="Bearer s3cret")) == {TRAINER, TRAINER + 10}


ASK = """
import json, os, socket, sys
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect(sys.argv[1])
    asking.sendall(b"GET /vram HTTP/1.0\\r\\n\\r\\n")
    answer = b"".join(iter(lambda: asking.recv(65536), b""))
sys.stdout.buffer.write(answer)
"""


@pytest.mark.fault(42)
def test_row_42_over_the_unix_socket_each_user_sees_inside_their_own(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Serving(Settings(port=0, unix_socket=path)) as serving:
        serving.publish(mine_and_theirs())
        with Raw.unix(path) as raw:
            raw.request("/vram")
            assert seen_inside(raw.reply()) == {TRAINER, TRAINER + 10}
        if os.getuid() != 0:
            pytest.skip("only root can ask as another user")
        for folder in (tmp_path, *tmp_path.parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                folder.chmod(0o755)
        path.chmod(0o666)
        found = subprocess.run(
            [sys.executable, "-c", ASK, str(path), str(OTHER_UID)],
            capture_output=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        )
        body = found.stdout.partition(b"\r\n\r\n")[2]
        assert seen_inside(Reply(200, {}, body)) == {TRAINER + 10}


# The Unix socket


def test_the_unix_socket_is_for_its_owner_and_group_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Serving(Settings(port=0, unix_socket=path)) as serving:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(FailureError, match="already in use"), Serving(Settings(port=0, unix_socket=path)):
            pass
        assert path.exists()
        with Raw.unix(path) as raw:
            raw.request("/nope")
            assert raw.reply().status == 404
        assert serving.server.stats.connections_total >= 1
    assert not path.exists()


def test_the_socket_of_a_server_that_died_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Serving(Settings(port=0, unix_socket=path)):
        pass


def test_a_file_in_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    for settings in (
        Settings(port=0, unix_socket=path),
        Settings(port=0, unix_socket=path / "below"),
        Settings(port=0, unix_socket=tmp_path / "missing" / "socket"),
        Settings(port=0, unix_socket=tmp_path / ("x" * 200)),
    ):
        with pytest.raises(FailureError, match="cannot listen on"), Serving(settings):
            pass
    assert path.read_text() == "data"
    with (
        pytest.raises(UsageError, match="no group"),
        Serving(Settings(port=0, unix_socket=tmp_path / "socket", socket_group="no-such-group")),
    ):
        pass


def test_the_unix_socket_needs_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    settings = Settings(port=0, token_file=tmp_path / "token", unix_socket=tmp_path / "socket")
    with Serving(settings) as serving, Raw.unix(tmp_path / "socket") as raw:
        serving.publish()
        raw.request("/vram")
        assert raw.reply().status == 200


# Token


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "token").write_text("s3cret\n")
    with Serving(Settings(port=0, token_file=tmp_path / "token"), WATCHFUL) as made:
        made.publish()
        yield made


@pytest.mark.parametrize("path", ROUTES)
def test_nothing_is_served_without_the_token(guarded: Serving, path: str) -> None:
    for authorization in ("", "Bearer", "Bearer wrong", "Bearer s3cre", "Basic s3cret", "s3cret", "Bearer s3cret x"):
        reply = guarded.ask(path, authorization=authorization)
        assert (reply.status, reply.body) == (401, b"Unauthorized")
        assert reply.headers["www-authenticate"] == 'Bearer realm="Blackbox"'
    assert guarded.ask("/vram", authorization="Bearer s3cret").status == 200


def test_the_token_in_the_address_is_swapped_for_a_cookie_at_the_root_alone(guarded: Serving) -> None:
    assert guarded.ask("/vram?token=s3cret").status == 401
    assert guarded.ask("/?token=wrong").status == 401
    reply = guarded.ask("/?token=s3cret")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie, *attributes = reply.headers["set-cookie"].split("; ")
    assert attributes == ["Path=/", f"Max-Age={credentials.SESSION_SECONDS}", "HttpOnly", "SameSite=Strict"]
    assert "s3cret" not in cookie
    assert guarded.ask("/vram", cookie=f"other=1; {cookie}").status == 200
    assert guarded.ask("/vram", cookie="blackbox=s3cret").status == 401
    assert guarded.ask("/vram", cookie=cookie, origin="http://evil.example").status == 403


def test_a_page_trades_the_token_for_a_session_of_its_port(guarded: Serving) -> None:
    assert guarded.ask("/login").status == 401
    assert guarded.ask("/login", authorization="Bearer wrong").status == 401
    host = f"localhost:{guarded.port}"
    cookie = guarded.ask("/login", host=host, authorization="Bearer s3cret").headers["set-cookie"].partition(";")[0]
    assert cookie.startswith(f"blackbox_{guarded.port}=")
    assert guarded.ask("/vram", host=host, cookie=cookie).status == 200
    renewed = guarded.ask("/login", host=host, cookie=cookie).headers["set-cookie"]
    assert renewed.startswith(f"blackbox_{guarded.port}=")
    name, _, session = cookie.partition("=")
    until, _, proof = session.partition(".")
    for forged in (f"{int(until) + 1}.{proof}", f"{until}.{proof[:-1]}x", until, "", f"{'9' * 400}.{proof}"):
        assert guarded.ask("/vram", host=host, cookie=f"{name}={forged}").status == 401
    assert guarded.ask("/vram", host=host, cookie=f"blackbox_1={session}").status == 401


def test_pages_of_other_ports_cannot_use_the_session(guarded: Serving) -> None:
    cookie = guarded.ask("/login", authorization="Bearer s3cret").headers["set-cookie"].partition(";")[0]
    for fields in ({"origin": "http://127.0.0.1:1"}, {"sec_fetch_site": "same-site"}, {"sec_fetch_site": "cross-site"}):
        assert guarded.ask("/vram", cookie=cookie, **fields).status == 403
    assert guarded.ask("/vram", cookie=cookie, sec_fetch_site="same-origin").status == 200


def test_without_the_token_a_browser_gets_the_page_that_asks_for_it_and_nothing_else(guarded: Serving) -> None:
    assert guarded.ask("/", accept="text/html").status == 200
    assert guarded.ask("/dashboard.js").status == 200
    assert guarded.ask("/dashboard.css").status == 200
    for path in ROUTES:
        assert path == "/" or guarded.ask(path, accept="text/html").status == 401


def test_a_changed_token_counts_at_once(guarded: Serving, tmp_path: Path) -> None:
    cookie = guarded.ask("/login", authorization="Bearer s3cret").headers["set-cookie"].partition(";")[0]
    assert guarded.ask("/vram", cookie=cookie).status == 200
    (tmp_path / "token").write_text("renewed")
    until(lambda: guarded.ask("/vram", authorization="Bearer renewed").status == 200)
    assert guarded.ask("/vram", authorization="Bearer s3cret").status == 401
    assert guarded.ask("/vram", cookie=cookie).status == 401
    (tmp_path / "token").unlink()
    time.sleep(3 * WATCHFUL.sweep_seconds)
    assert guarded.ask("/vram", authorization="Bearer renewed").status == 200


def test_a_token_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(FailureError, match="cannot read token file"),
        Serving(Settings(port=0, token_file=tmp_path / "missing")),
    ):
        pass


# Passwords


def test_users_of_the_web_config_may_ask(tmp_path: Path) -> None:
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users:\n  ada: {hashed('enchantress')}\n")
    with Serving(Settings(port=0, hosts=("0.0.0.0",), web_config=config), WATCHFUL) as serving:
        serving.publish(mine_and_theirs())
        for authorization in ("", basic("ada", "wrong"), basic("bob", "enchantress"), "Bearer enchantress", "Basic x"):
            reply = serving.ask("/vram", authorization=authorization)
            assert reply.status == 401
            assert reply.headers["www-authenticate"].startswith("Basic realm=")
        for _ in range(2):
            reply = serving.ask("/vram", authorization=basic("ada", "enchantress"))
            assert seen_inside(reply) == {TRAINER, TRAINER + 10}
        with serving.connect() as raw:
            raw.request("/vram/stream", authorization=basic("ada", "enchantress"))
            assert raw.until(b"\n").startswith(b"HTTP/1.1 200")
        config.write_text(f"basic_auth_users:\n  bob: {hashed('other')}\n")
        until(lambda: serving.ask("/vram", authorization=basic("bob", "other")).status == 200)
        assert serving.ask("/vram", authorization=basic("ada", "enchantress")).status == 401
        config.write_text("basic_auth_users: [")
        time.sleep(3 * WATCHFUL.sweep_seconds)
        assert serving.ask("/vram", authorization=basic("bob", "other")).status == 200


def test_a_right_password_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []
    verify = credentials.verify

    def count(users: dict[str, str], user: str, password: bytes) -> bool:
        checks.append(user)
        return verify(users, user, password)

    monkeypatch.setattr(credentials, "verify", count)
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users:\n  ada: {hashed('x')}\n")
    with Serving(Settings(port=0, web_config=config)) as serving:
        for _ in range(5):
            assert serving.ask("/", authorization=basic("ada", "x")).status == 200
        assert checks == ["ada"]
        for _ in range(2):
            assert serving.ask("/", authorization=basic("ada", "y")).status == 401
        assert checks == ["ada"] * 3


# TLS


def certificate_of(port: int) -> bytes:
    """The certificate the server shows."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=PATIENCE_SECONDS).encode()


def ask_securely(port: int, cert: Path, path: str = "/vram") -> Reply:
    context = ssl.create_default_context(cafile=str(cert))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        raw = Raw(secure)
        raw.request(path)
        return raw.reply()


def test_tls_is_spoken_and_a_renewed_certificate_is_shown(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "localhost")
    settings = Settings(port=0, tls_cert=tls.cert_file, tls_key=tls.key_file)
    with Serving(settings, WATCHFUL) as serving:
        serving.publish()
        assert json.loads(ask_securely(serving.port, tls.cert_file).body)["seq"] == 1
        first = certificate_of(serving.port)
        tls.cert_file.write_text("half a file")
        time.sleep(3 * WATCHFUL.sweep_seconds)
        assert certificate_of(serving.port) == first
        make_certificate(tmp_path, "localhost")
        until(lambda: certificate_of(serving.port) != first)
        assert ask_securely(serving.port, tls.cert_file).status == 200


def test_a_stream_over_tls_ends_when_the_server_stops(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "localhost")
    context = ssl.create_default_context(cafile=str(tls.cert_file))
    with Serving(Settings(port=0, tls_cert=tls.cert_file, tls_key=tls.key_file)) as serving:
        serving.publish()
        with (
            socket.create_connection(("127.0.0.1", serving.port), 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            raw = Raw(secure)
            raw.request("/vram/stream?blocks=none")
            assert b"id: 1\n" in raw.until(b"id: 1\n")
            serving.publish()
            assert raw.until(b"id: 2\n")
            serving.stop()
            assert raw.rest().endswith(b": server stopping\n\n\r\n0\r\n\r\n")


@pytest.mark.fault(31)
def test_row_31_plain_http_on_a_tls_port_is_refused(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "localhost")
    with Serving(Settings(port=0, tls_cert=tls.cert_file, tls_key=tls.key_file)) as serving:
        with serving.connect() as raw:
            raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP/1.1 200" not in raw.rest()
        assert ask_securely(serving.port, tls.cert_file, "/nope").status == 404


def test_client_certificates_can_be_required(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "localhost")
    config = tmp_path / "web.yml"
    lines = ["tls_server_config:", "  cert_file: server.crt", "  key_file: server.key", "  client_ca_file: server.crt"]
    config.write_text("\n".join([*lines, "  client_auth_type: RequireAndVerifyClientCert"]))
    with Serving(Settings(port=0, hosts=("0.0.0.0",), web_config=config)) as serving:
        with pytest.raises((OSError, AssertionError)):
            assert ask_securely(serving.port, tls.cert_file, "/").status == 200
        assert serving.server.stats.requests_total.total() == 0


@pytest.mark.parametrize("only", ["tls_cert", "tls_key"])
def test_half_of_a_certificate_is_refused(tmp_path: Path, only: str) -> None:
    with (
        pytest.raises(UsageError, match="must be given together"),
        Serving(
            Settings(port=0, **{only: tmp_path / "x"})  # type: ignore[arg-type]
        ),
    ):
        pass
