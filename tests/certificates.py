"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path

from blackbox.server.auth.web_config import TlsConfig
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS


def make_certificate(folder: Path, name: str) -> TlsConfig:
    """A self-signed certificate for `name` in `folder`; an older one there is replaced."""
    cert, key = folder / "server.crt", folder / "server.key"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = [tool("openssl", "openssl"), "req", "-x509", *curve, "-nodes", "-days", "2", *subject]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    return TlsConfig(cert_file=cert, key_file=key)
