"""What holds on every route, out of the table of routes: access, methods, parameters, and the declared answers."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoint_answers import EVENT_STREAM
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.fleet_endpoints import FLEET_ENDPOINTS
from blackbox.model.moment import Moment
from blackbox.server.api.routes import ROUTES
from blackbox.settings import Settings
from tests.moments import GIB, TRAINER, allocator, device, memory, moment, process, sample
from tests.recordings import recorded
from tests.serving import Reply, Serving

SECONDS = 10
START = float(int(time.time()) - SECONDS)
TOKEN = "s3cret"
NEVER_STALE = 1e9
"""Seconds: `/healthz` answers 200 however slowly the tests run."""
EVERY_GUARDED_ROUTE = pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if not one.is_public], ids=lambda endpoint: endpoint.path
)
EVERY_ROUTE = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
EVERY_ROUTE_OF_A_MACHINE = pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one not in FLEET_ENDPOINTS], ids=lambda endpoint: endpoint.path
)
"""Those about a fleet need a database: `test_http_fleet` asks them."""
MEANT = {"t": str(START + SECONDS // 2), "a": str(START + SECONDS // 2), "name": "somebody"}
"""Values of the required parameters."""
ONE_OF = {"/vram/at": "t"}
"""Routes that require one of several parameters, and the one that is given here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    rows = [process(TRAINER, used_bytes=5 * GIB, uid=os.getuid())]
    made = sample([device(memory=memory(used=5 * GIB))], rows, allocators=(allocator(TRAINER),))
    return [moment(made, seq=second + 1, timestamp=START + second) for second in range(SECONDS)]


@pytest.fixture(scope="module")
def serving(folder: Path, moments: list[Moment]) -> Iterator[Serving]:
    with recorded(folder, moments) as recorder, Serving(recording=recorder.recording) as made:
        made.publish(stale_after_seconds=NEVER_STALE)
        yield made


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Serving]:
    """A server that wants a token."""
    (folder / "token").write_text(TOKEN)
    with Serving(Settings(port=0, token_file=folder / "token")) as made:
        made.publish(stale_after_seconds=NEVER_STALE)
        yield made


def url(endpoint: Endpoint, **more: str) -> str:
    """The endpoint with what it requires, and more."""
    required = [one.name for one in endpoint.parameters if one.required or one.name == ONE_OF.get(endpoint.path)]
    given = {name: MEANT[name] for name in required} | more
    return endpoint.path + ("?" + urlencode(given) if given else "")


def head_of(serving: Serving, target: str, method: str = "GET", **headers: str) -> str:
    """Status line and fields of an answer that may be endless."""
    with serving.connect() as raw:
        raw.request(target, method, **headers)
        return raw.until(b"\r\n\r\n").decode("latin-1").lower()


def assert_refused(serving: Serving, reply: Reply, status: int) -> None:
    """Nothing of what the route tells is in the answer, and no stream began."""
    assert (reply.status, reply.headers["content-type"]) == (status, "text/plain")
    assert b"bytes" not in reply.body
    assert serving.server.stats.streams_open == 0


def test_every_declared_endpoint_has_a_handler() -> None:
    assert [route.endpoint for route in ROUTES.values()] == list(ENDPOINTS)


@pytest.mark.fault(40)
@EVERY_ROUTE
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_row_40_a_foreign_host_is_refused(serving: Serving, endpoint: Endpoint, method: str) -> None:
    assert_refused(serving, serving.ask(url(endpoint), method, host="evil.example"), 403)


@pytest.mark.fault(40)
@EVERY_ROUTE
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_row_40_a_foreign_page_is_refused(serving: Serving, endpoint: Endpoint, method: str) -> None:
    reply = serving.ask(url(endpoint), method, origin="http://evil.example")
    assert_refused(serving, reply, 403)
    assert not any(name.startswith("access-control") for name in reply.headers)


@EVERY_GUARDED_ROUTE
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
def test_nothing_is_served_without_the_token(
    guarded: Serving, endpoint: Endpoint, method: str, authorization: str
) -> None:
    reply = guarded.ask(url(endpoint), method, authorization=authorization)
    assert_refused(guarded, reply, 401)
    assert reply.headers["www-authenticate"] == 'Bearer realm="Blackbox"'


@EVERY_ROUTE
def test_with_the_token_every_route_answers(guarded: Serving, endpoint: Endpoint) -> None:
    """This server keeps no recording, so some say 404."""
    status = head_of(guarded, url(endpoint), authorization=f"Bearer {TOKEN}").split()[1]
    assert status in ("200", *("404" for code in endpoint.statuses if code == 404))


@EVERY_ROUTE
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_not_allowed(serving: Serving, endpoint: Endpoint, method: str) -> None:
    reply = serving.ask(url(endpoint), method)
    assert_refused(serving, reply, 405)
    assert reply.headers["allow"] == "GET, HEAD"


@EVERY_ROUTE_OF_A_MACHINE
def test_head_is_get_without_the_body(serving: Serving, endpoint: Endpoint) -> None:
    serving.publish(stale_after_seconds=NEVER_STALE)
    target = url(endpoint)
    with serving.connect() as raw:
        raw.request(target, "HEAD")
        head = raw.reply("HEAD")
        assert (head.status, head.body) == (200, b"")
        raw.request("/readyz")
        assert raw.reply().body == b"ready"
    assert serving.server.stats.streams_open == 0
    if endpoint.answer.content_type == EVENT_STREAM:
        return
    full = serving.ask(target)
    changing = {"date": "", "content-length": ""}
    assert head.headers | changing == full.headers | changing
    if endpoint.path in ("/vram", "/", "/readyz", "/openapi.json"):  # what does not depend on the time
        assert head.headers["content-length"] == str(len(full.body))


@EVERY_ROUTE_OF_A_MACHINE
def test_the_answer_is_of_the_declared_type(serving: Serving, endpoint: Endpoint) -> None:
    head = head_of(serving, url(endpoint))
    assert head.startswith("http/1.1 200 ")
    assert f"content-type: {endpoint.answer.content_type}" in head
    for name in endpoint.answer.headers:
        assert f"\r\n{name.lower()}: " in head


@EVERY_ROUTE
def test_an_unknown_parameter_is_refused_or_ignored_as_declared(serving: Serving, endpoint: Endpoint) -> None:
    target = url(endpoint, nope="1")
    if endpoint.accepts_any_parameter:
        assert head_of(serving, target).startswith("http/1.1 200 ")
        return
    reply = serving.ask(target)
    assert_refused(serving, reply, 400)
    assert reply.body.startswith(b"unknown parameter 'nope': there are ")
    assert all(name.encode() in reply.body for name in endpoint.query_names)


@EVERY_ROUTE_OF_A_MACHINE
def test_every_declared_parameter_is_known_and_its_default_accepted(serving: Serving, endpoint: Endpoint) -> None:
    for parameter in endpoint.parameters:
        if parameter.location == "header":
            continue
        assert serving.ask(url(endpoint, **{parameter.name: ""}), "HEAD").status == 400
        texts = [*parameter.values.schema.get("enum", ()), *([parameter.default] if parameter.default else [])]
        for text in texts:
            assert serving.ask(url(endpoint, **{parameter.name: text}), "HEAD").status == 200, (parameter.name, text)


@EVERY_ROUTE
def test_what_is_required_must_be_given(serving: Serving, endpoint: Endpoint) -> None:
    for parameter in endpoint.parameters:
        if parameter.required:
            reply = serving.ask(endpoint.path)
            assert (reply.status, reply.body) == (400, f"{parameter.name} is missing".encode())
    if endpoint.path in ONE_OF:
        assert serving.ask(endpoint.path).status == 400


def test_the_published_description_lists_the_routes(serving: Serving) -> None:
    assert list(json.loads(serving.ask("/openapi.json").body)["paths"]) == list(ROUTES)
    assert serving.ask("/").body.decode().split("\n")[1:-1] == [path for path in ROUTES if path != "/"]
