"""Prometheus' web config file: TLS and basic auth, in the format operators have already."""

import re
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from blackbox.errors import UsageError
from blackbox.server.auth.file_watch import read_text
from blackbox.settings import Settings

ClientAuth = Literal["", "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]

_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
BRACKETS_MAX = 100
"""The format needs none; the time that the parser takes grows with the square of how deep they nest."""


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
        raise UsageError(f"web config {path}: {one_line(error)}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:  # all are its syntax
        raise UsageError(f"web config {path} is not YAML: {one_line(error)}") from None
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


def tls_config(settings: Settings, web_config: WebConfig | None) -> TlsConfig | None:
    """The TLS settings, from whichever place has them. Raises `UsageError`."""
    cert, key = settings.tls_cert, settings.tls_key
    in_file = None if web_config is None else web_config.tls_server_config
    if cert is None and key is None:
        return in_file
    if cert is None or key is None:
        raise UsageError("a TLS certificate and its key must be given together")
    if in_file is not None:
        raise UsageError("TLS is set up twice: by certificate and key, and by the web config")
    return TlsConfig(cert_file=cert, key_file=key)


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError("the name of a file is text")


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
