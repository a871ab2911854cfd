"""The certificate connections get, read again when its files change. Brings in OpenSSL, 5 MiB."""

import ssl
from pathlib import Path

from blackbox.errors import FailureError
from blackbox.server.auth.file_watch import WatchedFiles, read_text
from blackbox.server.auth.web_config import ClientAuth, TlsConfig, one_line

_VERIFY: dict[ClientAuth, ssl.VerifyMode] = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class Tls:
    """One TLS context; connections made after a renewal get the new certificate."""

    def __init__(self, config: TlsConfig) -> None:
        """Raises `FailureError`."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._files = WatchedFiles(lambda: tls_files(config), lambda: load_tls(config, self.context))

    def refresh(self) -> None:
        """Reads changed files again."""
        self._files.refresh()

    def reload(self) -> None:
        """Reads its files again, changed or not."""
        self._files.reload()


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
        raise FailureError(f"TLS certificate {tls.cert_file} and key {tls.key_file}: {one_line(error)}") from None
    into.verify_mode = _VERIFY[tls.client_auth_type]


def _no_password() -> str:
    raise ValueError("the key is encrypted; a server cannot ask for its password")
