"""The built files of the dashboard, and who gets them."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.server.api import dashboard
from blackbox.server.http.negotiation import accepts_html

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("index.html", "dashboard.js", "dashboard.css"):
        (tmp_path / name).write_text(f"the built {name}")
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(f"the built {name}".encode()))
    monkeypatch.setattr(dashboard, "STATIC", tmp_path)
    dashboard.static_file.cache_clear()
    yield tmp_path
    dashboard.static_file.cache_clear()


def test_a_built_file_is_read_once(built: Path) -> None:
    first = dashboard.static_file("dashboard.js")
    (built / "dashboard.js").unlink()
    assert first is not None
    assert first.body == b"the built dashboard.js"
    assert dashboard.static_file("dashboard.js") is first


def test_the_client_gets_what_it_can_unpack_and_nothing_twice(built: Path) -> None:
    file = dashboard.static_file("dashboard.css")
    assert file is not None
    plain = dashboard.answer(file, "text/css", {}, ())
    assert (plain.status, plain.body) == (200, file.body)
    packed = dashboard.answer(file, "text/css", {b"accept-encoding": b"gzip, br"}, ())
    assert gzip.decompress(packed.body) == file.body
    assert ("Content-Encoding", "gzip") in packed.fields
    again = dashboard.answer(file, "text/css", {b"if-none-match": file.tag.encode()}, ())
    assert (again.status, again.body) == (304, b"")


def test_a_server_without_its_dashboard_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "STATIC", tmp_path / "missing")
    dashboard.static_file.cache_clear()
    assert dashboard.static_file("index.html") is None
    dashboard.static_file.cache_clear()


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline() -> None:
    directives = dict(part.split(" ", 1) for part in dashboard.CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == "'self'"
    assert set(directives) & {"script-src", "style-src", "connect-src"} == set()
    assert "unsafe" not in dashboard.CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("accept", "wants_page"),
    [(BROWSER, True), (b"TEXT/HTML", True), (b"*/*", False), (b"", False), (b"text/html;q=0, */*", False)],
)
def test_browsers_name_html_and_programs_do_not(accept: bytes, wants_page: bool) -> None:
    assert accepts_html(accept) is wants_page
