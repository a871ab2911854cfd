"""Proofs of identity."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest

from blackbox.errors import FailureError, UsageError
from blackbox.server.auth import credentials
from blackbox.server.auth.credentials import Passwords
from blackbox.server.auth.web_config import load_web_config

HASH = bcrypt.hashpw(b"pass:word", bcrypt.gensalt(4)).decode()
USERS = {"ada": HASH}


def test_a_token_is_a_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("  s3cret\n")
    assert credentials.load_token(path) == b"s3cret"


@pytest.mark.parametrize("text", ["", " \n", "two words", "two\nlines", "ümlaut"])
def test_an_unusable_token_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(UsageError, match="token file"):
        credentials.load_token(path)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match=r"cannot read token file .*missing: No such file"):
        credentials.load_token(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(FailureError, match="not UTF-8"):
        credentials.load_token(tmp_path / "binary")


@pytest.mark.parametrize(
    ("authorization", "token"),
    [(b"Bearer abc", b"abc"), (b"bearer  abc ", b"abc"), (b"Basic abc", None), (b"abc", None), (b"", None)],
)
def test_a_bearer_shows_its_token(authorization: bytes, token: bytes | None) -> None:
    assert credentials.bearer_of(authorization) == token


def test_a_session_counts_for_its_time_its_token_and_its_name() -> None:
    session = credentials.session_of(b"s3cret", 1000.0)
    cookies = f"other=1; blackbox_6767={session}".encode()

    def counts(now: float, token: bytes = b"s3cret", name: str = "blackbox_6767") -> bool:
        return credentials.has_session(cookies, name, token, now)

    assert counts(1000.0)
    assert counts(1000.0 + credentials.SESSION_SECONDS - 1)
    assert not counts(1000.0 + credentials.SESSION_SECONDS)
    assert not counts(999.0)  # the clock was set back: it would count longer than any may
    assert not counts(1000.0, token=b"renewed")
    assert not counts(1000.0, name="blackbox")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"localhost", "blackbox"),
        (b"localhost:6767", "blackbox_6767"),
        (b"[::1]:80", "blackbox_80"),
        (b";", "blackbox"),
    ],
)
def test_each_port_has_a_session_of_its_own(host: bytes, name: str) -> None:
    assert credentials.cookie_name(host) == name


@pytest.mark.parametrize(
    ("authorization", "login"),
    [
        (b"Basic " + b64encode(b"ada:pass:word"), ("ada", b"pass:word")),
        (b"basic " + b64encode(b":"), ("", b"")),
        (b"Basic " + b64encode(b"ada"), None),
        (b"Basic " + b64encode(b"\xff:x"), None),
        (b"Basic !!!", None),
        (b"Bearer x", None),
        (b"", None),
    ],
)
def test_a_login_is_user_and_password(authorization: bytes, login: tuple[str, bytes] | None) -> None:
    assert credentials.basic_of(authorization) == login


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [
        ("ada", b"pass:word", True),
        ("ada", b"wrong", False),
        ("bob", b"pass:word", False),
        ("ada", b"", False),
        ("ada", b"pass:word" + b"x" * 80, False),
        ("bob", b"nobody", False),
    ],
)
def test_a_password_is_checked_against_its_hash(user: str, password: bytes, right: bool) -> None:
    assert credentials.verify(USERS, user, password) is right


def test_a_long_password_never_matches_in_part() -> None:
    long = b"x" * 72
    users = {"ada": bcrypt.hashpw(long, bcrypt.gensalt(4)).decode()}
    assert credentials.verify(users, "ada", long)
    assert not credentials.verify(users, "ada", long + b"y")


def test_a_right_password_is_remembered_for_its_user_and_hash_alone() -> None:
    passwords = Passwords(USERS)
    assert not passwords.remembers("ada", b"pass:word")
    passwords.remember("ada", b"pass:word")
    assert passwords.remembers("ada", b"pass:word")
    assert not passwords.remembers("ada", b"pass")
    assert not passwords.remembers("bob", b"pass:word")
    assert not passwords.remembers("ad", b"apass:word")


def test_the_memory_of_passwords_is_bounded() -> None:
    passwords = Passwords(USERS)
    for number in range(credentials.VERIFIED_MAX + 1):
        passwords.remember("ada", str(number).encode())
    assert not passwords.remembers("ada", b"0")
    assert passwords.remembers("ada", b"1")


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_token_that_every_user_can_read_is_told(tmp_path: Path, mode: int, is_open: bool) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    file.chmod(mode)
    assert credentials.open_to_others(file) is is_open
    assert not credentials.open_to_others(tmp_path / "gone")


@pytest.mark.fault(68)
@pytest.mark.parametrize("load", [credentials.load_token, load_web_config], ids=["token", "web config"])
def test_row_68_what_every_user_can_change_says_nobody_may_ask(load: Callable[[Path], object], tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("{}")
    file.chmod(0o646)
    with pytest.raises(FailureError, match=r"every user of this machine can change .*chmod o-w"):
        load(file)
    file.chmod(0o644)
    load(file)
