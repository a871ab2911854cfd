"""Where metrics may be sent, and the headers that let us in: no secret is shown, nothing leaves a machine in clear."""

from pathlib import Path

import pytest

from blackbox.errors import BlackboxError, FailureError, UsageError
from blackbox.outputs.otlp.endpoint import HEADERS_MAX, endpoint, read_headers
from blackbox.settings import is_loopback

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "expected", "port"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/metrics", 4318),
        ("http://localhost", "http://localhost/v1/metrics", 4318),
        ("http://127.0.0.1:1/otlp/", "http://127.0.0.1:1/otlp/v1/metrics", 1),
        ("http://[::1]:4318/v1/metrics", "http://[::1]:4318/v1/metrics", 4318),
        ("https://collector.example.org", "https://collector.example.org/v1/metrics", 443),
    ],
)
def test_the_path_of_metrics_is_added(url: str, expected: str, port: int) -> None:
    found = endpoint(url, None)
    assert (found.url, found.port) == (expected, port)
    assert (found.tls is not None) == url.startswith("https")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://collector.example.org:4318", "use https"),
        ("http://10.0.0.1:4318", "use https"),
        (f"https://user:{SECRET}@collector.example.org", "--otlp-headers-file"),
        (f"https://collector.example.org/?token={SECRET}", "none of a collector"),
        ("ftp://localhost", "example: http://localhost:4318"),
        ("http://localhost:port", "example: http://localhost:4318"),
    ],
)
def test_other_addresses_are_refused_without_their_secrets(url: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as refused:
        endpoint(url, None)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.8.8.8", True), ("::1", True), ("10.0.0.1", False), ("localhost.example.org", False)],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_certificates_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="cannot read"):
        endpoint("https://localhost", tmp_path / "missing")
    (tmp_path / "empty").write_text("none")
    with pytest.raises(FailureError, match="no certificate in PEM"):
        endpoint("https://localhost", tmp_path / "empty")


def headers_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "headers"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_headers_are_read(tmp_path: Path) -> None:
    file = headers_file(tmp_path, f"# ours\nAuthorization: Bearer {SECRET}\nX-Scope-OrgID:gpus\n")
    assert read_headers(file) == {"Authorization": f"Bearer {SECRET}", "X-Scope-OrgID": "gpus"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SECRET, "header 1 is none"),
        (f"A: b\nBad header: {SECRET}", "header 2 is none"),
        (f"A: {SECRET}\u00e9", "header 1 is none"),
        ("Content-Type: text/plain", "said by Blackbox itself"),
        ("# nothing", "no header"),
        ("\n".join(f"A{number}: b" for number in range(HEADERS_MAX + 1)), "is the most"),
    ],
)
def test_what_is_no_header_is_refused_and_not_repeated(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BlackboxError, match=complaint) as refused:
        read_headers(headers_file(tmp_path, text))
    assert SECRET not in str(refused.value)
