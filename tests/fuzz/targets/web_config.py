"""Prometheus' web config file."""

from collections.abc import Sequence

from blackbox.errors import FailureError, UsageError
from blackbox.server.auth.web_config import load_web_config
from tests.fuzz.files import as_file

ALLOWED = (UsageError, FailureError)
WHOLE = b"""\
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  min_version: TLS13
http_server_config:
  http2: false
basic_auth_users:
  prometheus: $2y$10$1234567890123456789012abcdefghijklmnopqrstuvwxyzABCDE
"""
ALIASES = b"a: &a {}\nbasic_auth_users: {a: *a, b: !!binary aGk=, 2026-11-29: 1e3}\n"


def seeds() -> Sequence[bytes]:
    return [WHOLE, b"basic_auth_users: {}\n", b"# nothing\n"]


def run(data: bytes) -> None:
    with as_file(data) as path:
        load_web_config(path)
