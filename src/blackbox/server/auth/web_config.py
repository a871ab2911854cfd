"""Prometheus' web config file: TLS and basic auth, in the format operators have already."""

import re
import ssl
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from blackbox.errors import FailureError, UsageError
from blackbox.server.auth.file_watch import read_text

ClientAuth = Literal["", "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]

_VERIFY: dict[ClientAuth, ssl.VerifyMode] = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
BRACKETS_MAX = 100
"""The format needs none; the time that the parser takes grows with the square of how deep they nest."""
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class TlsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tls_server_config`. What is not listed here is refused, since ignoring it could open what it closed."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: ClientAuth = ""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"


class HttpConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`http_server_config`."""

    http2: bool = True
    """Accepted and without effect: only HTTP/1.1 is spoken here."""


class WebConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    tls_server_config: TlsConfig | None = None
    http_server_config: HttpConfig | None = None
    basic_auth_users: dict[str, str] = {}
    """User -> bcrypt hash."""

    @property
    def authenticates(self) -> bool:
        """Whether it keeps anyone out."""
        tls = self.tls_server_config
        needs_certificate = tls is not None and tls.client_auth_type == "RequireAndVerifyClientCert"
        return bool(self.basic_auth_users) or needs_certificate


def load_web_config(path: Path) -> WebConfig:
    """The file's contents; relative paths in it start at its folder. Raises `UsageError`, `FailureError`."""
    import yaml

    source = read_text(path, "web config")
    if sum(map(source.count, "[{")) > BRACKETS_MAX:
        raise UsageError(f"web config {path}: more than {BRACKETS_MAX} brackets")
    try:
        config = msgspec.convert(yaml.safe_load(source) or {}, WebConfig, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise UsageError(f"web config {path}: {_one_line(error)}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:  # all are its syntax
        raise UsageError(f"web config {path} is not YAML: {_one_line(error)}") from None
    bad = [user for user, digest in config.basic_auth_users.items() if not _BCRYPT.fullmatch(digest)]
    if bad:
        raise UsageError(f"web config {path}: the password of {bad[0]!r} is not a bcrypt hash")
    tls = config.tls_server_config
    if tls is None:
        return config
    folder = path.parent
    ca_file = None if tls.client_ca_file is None else folder / tls.client_ca_file
    if tls.client_auth_type not in ("", "NoClientCert") and ca_file is None:
        raise UsageError(f"web config {path}: client_auth_type {tls.client_auth_type} needs client_ca_file")
    tls = msgspec.structs.replace(
        tls, cert_file=folder / tls.cert_file, key_file=folder / tls.key_file, client_ca_file=ca_file
    )
    return msgspec.structs.replace(config, tls_server_config=tls)


def tls_files(tls: TlsConfig) -> tuple[Path, ...]:
    """The files whose change means new certificates."""
    return tuple(path for path in (tls.cert_file, tls.key_file, tls.client_ca_file) if path is not None)


def load_tls(tls: TlsConfig, into: ssl.SSLContext) -> None:
    """Puts the certificates into a context. Raises `FailureError`; then the context is unchanged."""
    _load_tls(tls, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _load_tls(tls, into)


def _load_tls(tls: TlsConfig, into: ssl.SSLContext) -> None:
    into.minimum_version = _VERSIONS[tls.min_version]
    for path in tls_files(tls):
        read_text(path, "TLS file")
    try:
        into.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
        if tls.client_ca_file is not None:
            into.load_verify_locations(tls.client_ca_file)
    except (ssl.SSLError, ValueError) as error:
        raise FailureError(f"TLS certificate {tls.cert_file} and key {tls.key_file}: {_one_line(error)}") from None
    into.verify_mode = _VERIFY[tls.client_auth_type]


def _no_password() -> str:
    raise ValueError("the key is encrypted; a server cannot ask for its password")


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError("the name of a file is text")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
