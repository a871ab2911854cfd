"""`GET /` and the files of the dashboard, which are built from `web/` into the package's `server/static`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from blackbox.model.endpoints import DASHBOARD_SCRIPT, DASHBOARD_STYLE, ENDPOINTS, INDEX, LOGIN, SCRIPT, STYLE
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import AnswerOrCoroutine, Viewer
from blackbox.server.http.negotiation import STREAMED, accepted_encoding, accepts_html, has_tag
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request
from blackbox.server.http.response import Fields, Response, text

STATIC = Path(__file__).parents[1] / "static"
"""What `hatch_build.py` builds; not there where the package was installed without npm's registry at hand."""
HTML = "text/html; charset=utf-8"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",  # scripts, styles, streams and requests: of this server alone, none of them inline
        "img-src 'self' data:",  # the icon
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PAGE_FIELDS: Fields = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


class StaticFile(NamedTuple):
    """A built file, in memory."""

    body: bytes
    packed: bytes
    """The same as gzip, made when it was built."""
    tag: str


@cache
def static_file(name: str) -> StaticFile | None:
    """A file of the dashboard, read once; None where it was not built."""
    try:
        body = (STATIC / name).read_bytes()
        packed = (STATIC / f"{name}.gz").read_bytes()
    except OSError:
        return None
    from hashlib import sha256  # brings in OpenSSL, which a server without a page need not hold

    return StaticFile(body, packed, f'"{sha256(body).hexdigest()[:16]}"')


@handles(INDEX)
def index(_context: Context, request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """The page for browsers, the routes for all others."""
    page = static_file("index.html") if accepts_html(request.headers.get(b"accept", b"")) else None
    if page is not None:
        return answer(page, HTML, request.headers, (*PAGE_FIELDS, ("Vary", "Accept, Accept-Encoding")))
    routes = "".join(f"{endpoint.path}\n" for endpoint in ENDPOINTS if endpoint is not INDEX)
    return text(200, "Blackbox\n" + routes, (("Vary", "Accept"),))


@handles(DASHBOARD_SCRIPT)
def dashboard_script(_context: Context, request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """Its program."""
    return _part("dashboard.js", SCRIPT, request)


@handles(DASHBOARD_STYLE)
def dashboard_style(_context: Context, request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """Its style sheet."""
    return _part("dashboard.css", STYLE, request)


@handles(LOGIN)
def login(_context: Context, _request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """Who gets here is admitted; `Access` has the token, and sets the cookie before."""
    return text(200, "admitted", (("Cache-Control", "no-store"),))


def _part(name: str, content_type: str, request: Request) -> Response:
    file = static_file(name) or StaticFile(b"", b"", '"none"')
    return answer(file, content_type, request.headers, (("Vary", "Accept-Encoding"),))


def answer(file: StaticFile, content_type: str, headers: Mapping[bytes, bytes], fields: Fields) -> Response:
    """The file as the client takes it; asked for anew each time, and answered with 304 where it has not changed."""
    fields = (("Cache-Control", "no-cache"), ("ETag", file.tag), *fields)
    known = headers.get(b"if-none-match")
    if known is not None and has_tag(known, file.tag):
        return Response(304, fields=fields)
    if file.packed and accepted_encoding(headers.get(b"accept-encoding", b""), STREAMED) == "gzip":
        return Response(200, file.packed, content_type, (*fields, ("Content-Encoding", "gzip")))
    return Response(200, file.body, content_type, fields)
