"""The certificate connections get, read again when its files change."""

import ssl

from blackbox.errors import UsageError
from blackbox.server.auth.file_watch import WatchedFiles
from blackbox.server.auth.web_config import TlsConfig, WebConfig, load_tls, tls_files
from blackbox.settings import Settings


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
