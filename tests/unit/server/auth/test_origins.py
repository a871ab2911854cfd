"""Which web pages may ask."""

import pytest

from blackbox.server.auth.origins import Origins, is_own


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        (b"http://localhost:6767", b"localhost:6767", True),
        (b"https://gpu.internal", b"gpu.internal", True),
        (b"https://gpu.internal", b"gpu.internal:443", True),
        (b"http://gpu.internal:80", b"gpu.internal", True),
        (b"http://[::1]:6767", b"[::1]:6767", True),
        (b"http://localhost:3000", b"localhost:6767", False),
        (b"http://127.0.0.1:6767", b"localhost:6767", False),
        (b"http://evil.example", b"localhost", False),
        (b"null", b"localhost", False),
        (b"file://", b"localhost", False),
        (b"chrome-extension://localhost", b"localhost", False),
        (b"", b"localhost", False),
        (b"http://localhost:6767", b"", False),
    ],
)
def test_a_page_is_our_own_when_it_came_from_here(origin: bytes, host: bytes, own: bool) -> None:
    assert is_own(origin, host) is own


def test_what_is_no_page_may_ask() -> None:
    assert Origins(()).accept({b"host": b"localhost"})


@pytest.mark.parametrize(
    ("site", "mode", "dest", "accepted"),
    [
        (b"none", b"navigate", b"document", True),
        (b"same-origin", b"cors", b"empty", True),
        (b"cross-site", b"no-cors", b"image", False),
        (b"same-site", b"no-cors", b"image", False),
        (b"cross-site", b"navigate", b"document", True),
        (b"cross-site", b"navigate", b"iframe", False),
        (b"junk", b"navigate", b"", False),
    ],
)
def test_requests_without_an_origin_are_judged_by_where_they_come_from(
    site: bytes, mode: bytes, dest: bytes, accepted: bool
) -> None:
    headers = {b"sec-fetch-site": site, b"sec-fetch-mode": mode, b"sec-fetch-dest": dest}
    assert Origins(()).accept(headers) is accepted


def test_a_foreign_page_may_ask_when_it_is_named() -> None:
    origins = Origins(("https://Grafana.example/",))
    headers = {b"origin": b"https://grafana.example", b"host": b"localhost"}
    assert origins.accept(headers)
    assert ("Access-Control-Allow-Origin", "https://grafana.example") in origins.fields(headers)
    assert not origins.accept(headers | {b"origin": b"https://grafana.example.evil"})


def test_no_cors_field_unless_the_settings_name_origins() -> None:
    assert Origins(()).fields({b"origin": b"http://localhost", b"host": b"localhost"}) == ()


def test_answers_that_depend_on_the_origin_say_so() -> None:
    assert Origins(("https://a.example",)).fields({}) == (("Vary", "Origin"),)


def test_a_star_lets_every_page_in() -> None:
    origins = Origins(("*",))
    for headers in ({b"origin": b"null"}, {b"origin": b"http://x.example"}, {b"sec-fetch-site": b"cross-site"}):
        assert origins.accept(headers)
        assert ("Access-Control-Allow-Origin", "*") in origins.fields(headers)


def test_a_preflight_is_answered_for_allowed_origins_alone() -> None:
    headers = {b"origin": b"https://a.example", b"access-control-request-method": b"GET"}
    assert ("Access-Control-Allow-Methods", "GET, HEAD") in Origins(("https://a.example",)).preflight(headers)
    assert Origins(("https://b.example",)).preflight(headers) == ()
    assert Origins(("*",)).preflight({b"origin": b"https://a.example"}) == ()
