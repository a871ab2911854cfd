"""`GET /fleet/...` of a server with `--fleet-read`: the answers of the questions, for those who may see all."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from blackbox.errors import FailureError, UsageError
from blackbox.fleet.ddl import TableLayout
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables
from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.fleet_endpoints import FLEET_AT, FLEET_ENDPOINTS, FLEET_MACHINES, FLEET_WHERE
from blackbox.settings import Settings
from tests.clickhouse_rig import PASSWORD, READER, ClickHouse, running
from tests.fleet_rows import MINUTE, START, MadeMinute, made_fleet, store
from tests.serving import Reply, Serving

TOKEN = "s3cret"
HOSTS = ("gpu1", "gpu2")
MINUTES = 5
ASKED = START + MINUTES * MINUTE
EVERY_ROUTE = pytest.mark.parametrize("endpoint", FLEET_ENDPOINTS, ids=lambda endpoint: endpoint.path)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    grants = {READER: ["GRANT SELECT ON `blackbox`.*"]}
    with running(tmp_path_factory.mktemp("clickhouse"), 1, grants) as (node,):
        make_tables([Access(node.url)], TableLayout(), lambda _: None)
        yield node


@pytest.fixture(scope="module")
def made(node: ClickHouse) -> list[MadeMinute]:
    found = made_fleet(HOSTS, MINUTES, random.Random(11))
    store(node, found, ASKED)
    return found


@pytest.fixture(scope="module")
def serving(node: ClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("secrets")
    for name, secret in (("token", TOKEN), ("password", PASSWORD)):
        (folder / name).write_text(secret)
        (folder / name).chmod(0o600)
    settings = Settings(
        port=0,
        token_file=folder / "token",
        fleet_read=node.url,
        fleet_read_user=READER,
        fleet_read_password_file=folder / "password",
    )
    with Serving(settings) as made:
        yield made


def ask(serving: Serving, endpoint: Endpoint, method: str = "GET", **query: object) -> Reply:
    needed = {"name": "7"} if endpoint is FLEET_WHERE else {}
    return serving.ask(f"{endpoint.path}?{urlencode(needed | query)}", method, authorization=f"Bearer {TOKEN}")


def test_every_machine_at_a_time(serving: Serving, made: list[MadeMinute]) -> None:
    answer = json.loads(ask(serving, FLEET_AT, t=ASKED).body)
    newest = {minute.host: minute for minute in made if minute.moment > ASKED - 120}
    assert {one["host"]: one["ledger"]["used_bytes"] for one in answer["machines"]} == {
        host: sum(minute.used_bytes.values()) for host, minute in newest.items()
    }
    assert answer["cover"]["fresh"] == len(newest)
    narrow = json.loads(ask(serving, FLEET_MACHINES, machine="gpu2", limit=1).body)
    assert [one["host"] for one in narrow["machines"]] == ["gpu2"]


@EVERY_ROUTE
def test_every_route_answers_as_declared(serving: Serving, made: list[MadeMinute], endpoint: Endpoint) -> None:
    for method in ("GET", "HEAD"):
        reply = ask(serving, endpoint, method)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(ask(serving, endpoint).body)["cover"]["shards"] == 1
    for parameter in endpoint.parameters:
        for text in (*parameter.values.schema.get("enum", ()), parameter.default):
            if text is not None:
                assert ask(serving, endpoint, **{parameter.name: text}).status == 200
    assert ask(serving, endpoint, limit=0).status == 400
    assert ask(serving, endpoint, nope=1).status == 400


@EVERY_ROUTE
def test_the_ends_of_the_calendar_are_answered(serving: Serving, endpoint: Endpoint) -> None:
    names = {parameter.name for parameter in endpoint.parameters} & {"t", "from", "to"}
    for name in names:
        for text in ("0", "99999999999", "0001-01-01", "9999-12-31T23:59:59Z", "-999999999d", "now"):
            assert ask(serving, endpoint, **{name: text}).status in (200, 400), (name, text)
    assert serving.server.stats.errors_total == 0


@EVERY_ROUTE
def test_who_may_not_see_all_is_told_nothing(node: ClickHouse, endpoint: Endpoint) -> None:
    with Serving(Settings(port=0, fleet_read=node.url)) as open_to_all:
        reply = ask(open_to_all, endpoint)
    assert (reply.status, b"--token-file" in reply.body) == (403, True)


@EVERY_ROUTE
def test_a_server_that_asks_no_fleet_says_so(endpoint: Endpoint) -> None:
    with Serving() as alone:
        reply = ask(alone, endpoint)
    assert (reply.status, b"--fleet-read" in reply.body) == (404, True)


def test_a_database_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with Serving(Settings(port=0, token_file=tmp_path / "token", fleet_read="http://127.0.0.1:1")) as serving:
        reply = ask(serving, FLEET_AT)
        assert serving.server.stats.errors_total == 0
    assert (reply.status, reply.headers["content-type"]) == (502, "text/plain")
    assert reply.body.startswith(b"http://127.0.0.1:1 does not answer")


def test_a_server_that_cannot_ask_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="https"):
        Serving(Settings(port=0, fleet_read="http://db.example.org:8123")).__enter__()
    missing = Settings(
        port=0, fleet_read="http://localhost:1", fleet_read_user="a", fleet_read_password_file=tmp_path / "none"
    )
    with pytest.raises(FailureError, match="cannot read"):
        Serving(missing).__enter__()


def test_all_of_them_are_declared() -> None:
    assert set(FLEET_ENDPOINTS) <= set(ENDPOINTS)
