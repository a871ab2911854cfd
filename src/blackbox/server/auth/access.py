"""Who may ask, and what they may see. Every request passes `Access` before its route is looked up."""

import logging
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from blackbox.model.endpoints import ENDPOINTS, INDEX, LOGIN
from blackbox.server.auth import credentials
from blackbox.server.auth.credentials import Passwords
from blackbox.server.auth.exposure import require_protection
from blackbox.server.auth.file_watch import WatchedFiles
from blackbox.server.auth.hosts import Hosts
from blackbox.server.auth.origins import Origins
from blackbox.server.auth.password_lane import PasswordLane
from blackbox.server.auth.web_config import WebConfig, load_web_config
from blackbox.server.http.answer import Viewer
from blackbox.server.http.limits import Limits
from blackbox.server.http.negotiation import accepts_html
from blackbox.server.http.request import Request
from blackbox.server.http.response import Fields, Response, text, unavailable
from blackbox.settings import Settings

logger = logging.getLogger(__name__)

ROOT_UID = 0
NOBODY_UID = 65534
"""The kernel's `nobody`, who owns no process."""
PUBLIC = Viewer(NOBODY_UID)
"""Who has shown no token, and asks for what holds nothing of the machine."""
PUBLIC_PATHS = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.is_public)
_ABSENT_HOST = b"localhost"

Admission = Viewer | Response
"""The viewer, or what to answer instead of serving."""


class Peer(NamedTuple):
    """The other end of a connection."""

    uid: int | None = None
    """User of a Unix socket's peer, vouched for by the kernel; None on TCP."""
    tls: bool = False


class Access:
    """Checks every request: `Host` and `Origin` first, then who asks."""

    def __init__(self, settings: Settings, machine: str, limits: Limits, now: Callable[[], float] = time.time) -> None:
        """Reads the files that the settings name. Raises `UsageError`, `FailureError`."""
        self._now = now
        self._hosts = Hosts(machine, settings.allowed_hosts)
        self._origins = Origins(settings.cors_origins)
        self._lane = PasswordLane(limits.verifications)
        self._uid = os.getuid()
        self._token: WatchedFiles[bytes] | None = None
        self._web_config: WatchedFiles[WebConfig] | None = None
        if (token_file := settings.token_file) is not None:
            self._token = WatchedFiles(lambda: (token_file,), lambda: credentials.load_token(token_file))
            if credentials.open_to_others(token_file):
                logger.warning("every user of this machine can read the token: chmod 600 %s", token_file)
        if (config_file := settings.web_config) is not None:
            self._web_config = WatchedFiles(lambda: (config_file,), lambda: load_web_config(config_file))
        self._passwords = Passwords(self._users())
        self.generation = 0
        """Another number after every change of what requests are checked against."""
        require_protection(settings, self.web_config)

    @property
    def web_config(self) -> WebConfig | None:
        return None if self._web_config is None else self._web_config.value

    def refresh(self) -> None:
        """Reads changed files again."""
        changed = [watched.refresh() for watched in (self._token, self._web_config) if watched is not None]
        if any(changed):
            self._renew()

    def reload(self) -> None:
        """Reads the token file and the web config again, changed or not."""
        for watched in (self._token, self._web_config):
            if watched is not None:
                watched.reload()
        self._renew()

    def _renew(self) -> None:
        """Forgets which passwords were right where the users or their hashes have changed."""
        self.generation += 1
        if self._users() != self._passwords.users:
            self._passwords = Passwords(self._users())

    def close(self) -> None:
        """Checks no more passwords."""
        self._lane.close()

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request with a foreign `Host` or `Origin`, and to a CORS preflight; None for any other."""
        headers, named = request.headers, request.target.host
        host = headers.get(b"host", _ABSENT_HOST)
        if not self._hosts.accept(host) or (named is not None and not self._hosts.accept(named)):
            return text(403, "this server does not answer to that Host; see --allowed-host")
        if not self._origins.accept(headers):
            return text(403, "pages of that Origin may not ask here; see --cors-origin")
        if request.method == "OPTIONS" and (fields := self._origins.preflight(headers)):
            return Response(204, fields=fields)
        return None

    def cors_fields(self, request: Request) -> Fields:
        """The CORS fields of any answer to this request."""
        return self._origins.fields(request.headers)

    def admit(self, request: Request, peer: Peer) -> Admission | Coroutine[Any, Any, Admission]:
        """The viewer, or the answer to a request without valid credentials. A coroutine where a password is checked for
        the first time, which takes 50 ms of a core.
        """
        if peer.uid is not None:
            return Viewer(None if peer.uid in (ROOT_UID, self._uid) else peer.uid)
        users = self._passwords.users
        if self._token is None and not users:
            config = self.web_config
            return Viewer(None if config is not None and config.authenticates else self._uid)
        authorization = request.headers.get(b"authorization", b"")
        if self._token is not None and (admission := self._by_token(request, peer, authorization)) is not None:
            return admission
        login = credentials.basic_of(authorization) if users else None
        if login is None:
            return self._unauthorized()
        if self._passwords.remembers(*login):
            return Viewer()
        return self._by_password(*login)

    def _by_token(self, request: Request, peer: Peer, authorization: bytes) -> Admission | None:
        assert self._token is not None
        token = self._token.value
        path = request.target.path
        if path == INDEX.path:
            offered = dict(request.target.query).get("token")
            if offered is not None and credentials.is_token(offered.encode(), token):
                return text(303, fields=(("Location", "/"), *self._session(request, peer)))
        if path == LOGIN.path and self._knows(request, authorization):
            return text(200, "admitted", fields=self._session(request, peer))
        if self._knows(request, authorization):
            return Viewer()
        return PUBLIC if path in PUBLIC_PATHS or (path == INDEX.path and is_browser(request)) else None

    def _knows(self, request: Request, authorization: bytes) -> bool:
        """Whether the request bears the token, or a session made of it."""
        assert self._token is not None
        token = self._token.value
        bearer = credentials.bearer_of(authorization)
        if bearer is not None and credentials.is_token(bearer, token):
            return True
        cookies = request.headers.get(b"cookie")
        return cookies is not None and credentials.has_session(cookies, _cookie_name(request), token, self._now())

    def _session(self, request: Request, peer: Peer) -> Fields:
        """The fields that give the browser a session."""
        assert self._token is not None
        cookie = f"{_cookie_name(request)}={credentials.session_of(self._token.value, self._now())}"
        attributes = f"Path=/; Max-Age={credentials.SESSION_SECONDS}; HttpOnly; SameSite=Strict"
        secure = "; Secure" if peer.tls else ""
        return (("Set-Cookie", f"{cookie}; {attributes}{secure}"), ("Cache-Control", "no-store"))

    async def _by_password(self, user: str, password: bytes) -> Admission:
        passwords = self._passwords
        right = await self._lane.check(passwords.users, user, password)
        if right is None:
            return unavailable("too many passwords to check", retry_after_seconds=1)
        if not right:
            return self._unauthorized()
        passwords.remember(user, password)
        return Viewer()

    def _unauthorized(self) -> Response:
        fields: Fields = ()
        if self._token is not None:
            fields += (("WWW-Authenticate", 'Bearer realm="Blackbox"'),)
        if self._passwords.users:
            fields += (("WWW-Authenticate", 'Basic realm="Blackbox", charset="UTF-8"'),)
        return text(401, fields=fields)

    def _users(self) -> dict[str, str]:
        config = self.web_config
        return {} if config is None else config.basic_auth_users


def _cookie_name(request: Request) -> str:
    return credentials.cookie_name(request.headers.get(b"host", _ABSENT_HOST))


def is_browser(request: Request) -> bool:
    """It wants the page rather than the list of routes."""
    return accepts_html(request.headers.get(b"accept", b""))
