"""Proofs of identity: the bearer token, its cookie, and passwords."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from pathlib import Path

from blackbox.errors import UsageError
from blackbox.server.auth.file_watch import read_text

COOKIE = "blackbox"
VERIFIED_MAX = 128
"""Passwords remembered as right, so that bcrypt's 50 ms are spent once per client and not per request."""
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


def is_token(given: bytes, token: bytes) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(given, token)


def cookie_of(token: bytes) -> str:
    """What the browser keeps in place of the token; worthless once the token changes."""
    return hmac.digest(token, b"blackbox cookie", hashlib.sha256).hex()


def has_cookie(cookies: bytes, token: bytes) -> bool:
    """Whether a `Cookie` value holds the token's cookie."""
    wanted = f"{COOKIE}={cookie_of(token)}".encode()
    return any(hmac.compare_digest(cookie.strip(), wanted) for cookie in cookies.replace(b",", b";").split(b";"))


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
        self._secret = secrets.token_bytes(hashlib.sha256().digest_size)
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
