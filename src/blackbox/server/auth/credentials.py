"""Proofs of identity: the bearer token, its cookie, and passwords.

What compares them brings in OpenSSL, 4 MiB, which a server that asks for no proof need not hold.
"""

import base64
import binascii
import os
import stat
from collections import OrderedDict
from pathlib import Path

from blackbox.errors import UsageError
from blackbox.server.auth.file_watch import read_text
from blackbox.server.auth.hosts import parse_authority

COOKIE = "blackbox"
SESSION_SECONDS = 7 * 86_400
"""A page that is open for a week asks for the token again; one that is used renews its session at each start."""
DIGITS_MAX = 12
"""Of a time in seconds; more is no session of ours."""
VERIFIED_MAX = 128
"""Passwords remembered as right, so that bcrypt's 50 ms are spent once per client and not per request."""
SECRET_BYTES = 32
"""As many as SHA-256 makes."""
BCRYPT_BYTES_MAX = 72
"""bcrypt sees no further; longer passwords are refused rather than compared in part."""
NOBODY = b"$2b$10$abcdefghijklmnopqrstuuTUxWU10DwzZnBvDkPSgbyFpGQkTxzIO"
"""Hash compared for unknown users, so that they take as long as known ones."""


def load_token(path: Path) -> bytes:
    """The token in a file. Raises `UsageError`, `FailureError`."""
    token = read_text(path, "token file").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"token file {path} must hold one line of printable ASCII without spaces")
    return token.encode()


def open_to_others(path: Path) -> bool:
    """Whether every user of the machine can read the file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def is_token(given: bytes, token: bytes) -> bool:
    """Compares in constant time."""
    import hmac

    return hmac.compare_digest(given, token)


def session_of(token: bytes, now: float) -> str:
    """What the browser keeps in place of the token: until when it counts, and a proof that only the token makes.
    Worthless from then on, and once the token changes."""
    until = str(int(now + SESSION_SECONDS))
    return f"{until}.{_proof(token, until)}"


def has_session(cookies: bytes, name: str, token: bytes, now: float) -> bool:
    """Whether a `Cookie` value holds, under this name, a session that counts."""
    sessions = (cookie.strip().partition(b"=") for cookie in cookies.replace(b",", b";").split(b";"))
    return any(key == name.encode() and _counts(value, token, now) for key, _, value in sessions)


def cookie_name(host: bytes) -> str:
    """Under which a server keeps its session. Browsers send a cookie to every port of a host, so the port is in it:
    two servers on one machine do not end each other's sessions."""
    authority = parse_authority(host.decode("latin-1"))
    port = None if authority is None else authority.port
    return COOKIE if port is None else f"{COOKIE}_{port}"


def _counts(session: bytes, token: bytes, now: float) -> bool:
    until, _, proof = session.partition(b".")
    if not until.isdigit() or len(until) > DIGITS_MAX:
        return False
    import hmac

    return (
        hmac.compare_digest(proof, _proof(token, until.decode()).encode()) and now < int(until) <= now + SESSION_SECONDS
    )


def _proof(token: bytes, until: str) -> str:
    import hashlib
    import hmac

    return hmac.digest(token, f"blackbox session {until}".encode(), hashlib.sha256).hex()


def bearer_of(authorization: bytes) -> bytes | None:
    """The token of an `Authorization` value."""
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def basic_of(authorization: bytes) -> tuple[str, bytes] | None:
    """User and password of an `Authorization` value."""
    scheme, _, packed = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, separator, password = base64.b64decode(packed.strip(), validate=True).partition(b":")
        return (user.decode(), password) if separator else None
    except (binascii.Error, UnicodeDecodeError):
        return None


class Passwords:
    """Users and bcrypt hashes, and which passwords have been found right, as digests
    under a key that lives and ends with this object. For one thread."""

    def __init__(self, users: dict[str, str]) -> None:
        self.users = users
        self._secret = os.urandom(SECRET_BYTES)
        self._verified: OrderedDict[bytes, None] = OrderedDict()

    def remembers(self, user: str, password: bytes) -> bool:
        """Whether this password was right before."""
        key = self._key(user, password)
        if key not in self._verified:
            return False
        self._verified.move_to_end(key)
        return True

    def remember(self, user: str, password: bytes) -> None:
        self._verified[self._key(user, password)] = None
        while len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)

    def _key(self, user: str, password: bytes) -> bytes:
        import hashlib
        import hmac

        digest = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in (user.encode(), self.users.get(user, "").encode(), password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def verify(users: dict[str, str], user: str, password: bytes) -> bool:
    """Whether the password is the user's. Takes 50 ms or more; any thread."""
    import bcrypt

    digest = users.get(user)
    right = bcrypt.checkpw(password[:BCRYPT_BYTES_MAX], NOBODY if digest is None else digest.encode())
    return right and digest is not None and len(password) <= BCRYPT_BYTES_MAX
