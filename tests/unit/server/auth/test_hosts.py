"""Which names the server answers to."""

import pytest

from blackbox.server.auth.hosts import Authority, Hosts, parse_authority

HOSTS = Hosts("box.example.org", ("gpu.internal",))


@pytest.mark.parametrize(
    "value",
    [
        "localhost",
        "LOCALHOST:6767",
        "127.0.0.1",
        "127.0.0.1:6767",
        "10.1.2.3:80",
        "[::1]",
        "[::1]:6767",
        "[2001:db8::7]:1",
        "box",
        "box:6767",
        "box.example.org",
        "gpu.internal:6767",
    ],
)
def test_our_names_are_accepted(value: str) -> None:
    assert HOSTS.accept(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example:6767",
        "127.0.0.1.nip.io",
        "localhost:6767@evil.example",
        "evil.example#localhost",
        "localhost, evil.example",
        "localhost evil",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "127.0.0.01",
        "::1",
        "[evil.example]",
        "[127.0.0.1]",
        "[::1",
        "localhost:",
        "localhost:port",
        "localhost:999999",
        "box.example.org.evil",
        "localhost\xa0",
        "l\xf6calhost",
        "xn--lcalhost-n4a",
        "example.org",
    ],
)
def test_foreign_names_are_not(value: str) -> None:
    assert not HOSTS.accept(value.encode("latin-1"))


def test_an_authority_has_its_parts() -> None:
    assert parse_authority("Box:80") == Authority("box", False, "80")
    assert parse_authority("[::1]:80") == Authority("::1", True, "80")
    assert parse_authority("10.0.0.1") == Authority("10.0.0.1", True, None)
    assert parse_authority("a:b:c") is None
