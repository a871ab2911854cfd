"""Prometheus' web config file."""

import ssl
from pathlib import Path

import bcrypt
import pytest

from blackbox.errors import BlackboxError, FailureError, UsageError
from blackbox.server.auth.tls import load_tls
from blackbox.server.auth.web_config import WebConfig, load_web_config
from tests.certificates import make_certificate

HASH = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()


def config(tmp_path: Path, text: str) -> WebConfig:
    path = tmp_path / "web.yml"
    path.write_text(text)
    return load_web_config(path)


def test_users_and_certificates_are_read(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        f"""
tls_server_config:
  cert_file: server.crt
  key_file: /etc/server.key
  min_version: TLS13
http_server_config:
  http2: false
basic_auth_users:
  ada: {HASH}
""",
    )
    assert found.basic_auth_users == {"ada": HASH}
    assert found.tls_server_config is not None
    assert found.tls_server_config.cert_file == tmp_path / "server.crt"
    assert found.tls_server_config.key_file == Path("/etc/server.key")
    assert found.authenticates


@pytest.mark.parametrize("text", ["", "basic_auth_users: {}", "tls_server_config: {cert_file: a, key_file: b}"])
def test_a_file_without_users_keeps_nobody_out(tmp_path: Path, text: str) -> None:
    assert not config(tmp_path, text).authenticates


def test_a_required_client_certificate_keeps_others_out(tmp_path: Path) -> None:
    tls = "{cert_file: a, key_file: b, client_ca_file: c, client_auth_type: RequireAndVerifyClientCert}"
    assert config(tmp_path, f"tls_server_config: {tls}").authenticates


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a: [", "not YAML"),
        ("- a", "Expected `object`"),
        ("basic_auth_user: {}", "basic_auth_user`"),
        ("basic_auth_users: {ada: secret}", "the password of 'ada' is not a bcrypt hash"),
        ("tls_server_config: {cert_file: a}", "key_file"),
        ("tls_server_config: {cert_file: a, key_file: b, cipher_suites: []}", "cipher_suites"),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAnyClientCert}",
            "Invalid enum value",
        ),
        (
            "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
            "needs client_ca_file",
        ),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        config(tmp_path, text)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="cannot read web config"):
        load_web_config(tmp_path / "web.yml")


def test_certificates_are_loaded(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_tls(tls, context)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("broken", ["cert_file", "key_file"])
def test_a_broken_certificate_is_named(tmp_path: Path, broken: str) -> None:
    tls = make_certificate(tmp_path, "localhost")
    path: Path = getattr(tls, broken)
    path.write_text("junk")
    with pytest.raises(FailureError, match=r"TLS certificate .*server.crt"):
        load_tls(tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    path.unlink()
    with pytest.raises(BlackboxError, match="No such file"):
        load_tls(tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
