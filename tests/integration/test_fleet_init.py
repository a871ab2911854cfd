"""`blackbox fleet init` on real ClickHouse nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.cli import main
from blackbox.errors import FailureError
from blackbox.fleet.ddl import TableLayout, statements, writer_grants
from blackbox.fleet.schema import COMMENT, EVENT, GPU, TABLES, VERSION
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables, probe
from tests.clickhouse_rig import CLUSTER, PASSWORD, WRITER, ClickHouse, running

ON_NODES = TableLayout(cluster=CLUSTER, replicated=False)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouse]]:
    grants = {WRITER: [f"GRANT {grant}" for grant in writer_grants(ON_NODES)]}
    with running(tmp_path_factory.mktemp("clickhouse"), 2, grants) as nodes:
        yield nodes


@pytest.fixture
def node(nodes: list[ClickHouse]) -> ClickHouse:
    """Without a database of ours."""
    for node in nodes:
        assert node.ask("DROP DATABASE IF EXISTS blackbox").status == 200
    return nodes[0]


def tables(node: ClickHouse) -> set[str]:
    return {row["name"] for row in node.rows("SELECT name FROM system.tables WHERE database = 'blackbox'")}


def test_one_node(node: ClickHouse, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "init", "--url", node.url]) == 0
    assert {table.name for table in TABLES} | {"process_hour_view", "allocation_hour_view"} == tables(node)
    assert "made the tables" in capsys.readouterr().out
    assert main(["fleet", "init", "--url", node.url]) == 0
    assert f"are of version {VERSION}" in capsys.readouterr().out
    assert node.value("SELECT count() FROM blackbox.event FINAL") == 1, "one probe a day"


def test_two_shards_without_keeper(nodes: list[ClickHouse], node: ClickHouse) -> None:
    urls = [word for one in nodes for word in ("--url", one.url)]
    assert main(["fleet", "init", "--cluster", CLUSTER, "--not-replicated", *urls]) == 0
    assert all({"process", "process_local"} <= tables(one) for one in nodes)
    assert nodes[1].value("SELECT count() FROM blackbox.event") == 1, "both see the probe, wherever it lies"


def test_a_cluster_that_runs_no_statements_on_itself_is_told_what_to_do(
    node: ClickHouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", "init", "--cluster", CLUSTER, "--url", node.url]) == 1
    error = capsys.readouterr().err
    assert "--not-replicated" in error
    assert error.count("\n") == 1


def test_older_tables_get_what_they_lack(node: ClickHouse) -> None:
    older = [table for table in TABLES if table is not GPU and table.fed_by is None]
    for statement in statements(TableLayout(), tuple(older), version=0):
        assert node.ask(statement).status == 200
    assert node.ask("ALTER TABLE blackbox.event DROP COLUMN detail").status == 200
    assert (
        node.ask("INSERT INTO blackbox.event (machine, kind, event_id, ts) VALUES ('m', 'oom', 1, now())").status == 200
    )
    make_tables([Access(node.url)], TableLayout(), lambda _: None)
    assert {table.name for table in TABLES} <= tables(node)
    assert node.value("SELECT detail FROM blackbox.event WHERE machine = 'm'") == ""
    assert node.value("SELECT comment FROM system.tables WHERE name = 'gpu'") == f"{COMMENT} {VERSION}"


def test_newer_tables_are_left_alone(node: ClickHouse) -> None:
    make_tables([Access(node.url)], TableLayout(), lambda _: None)
    assert node.ask(f"ALTER TABLE blackbox.machine MODIFY COMMENT '{COMMENT} {VERSION + 1}'").status == 200
    with pytest.raises(FailureError, match="newer Blackbox"):
        make_tables([Access(node.url)], TableLayout(), lambda _: None)


@pytest.mark.edge(2)
def test_a_row_that_comes_back_as_another_is_noticed(node: ClickHouse) -> None:
    make_tables([Access(node.url)], TableLayout(), lambda _: None)
    assert node.ask("DROP TABLE blackbox.event").status == 200
    column = "DateTime64(0, 'UTC')"  # without fractions of a second: as if times were read in another way
    made = next(statement for statement in statements(TableLayout(), (EVENT,)) if statement.startswith("CREATE TABLE"))
    assert node.ask(made.replace("`ts` DateTime64(3, 'UTC')", f"`ts` {column}")).status == 200
    with pytest.raises(FailureError, match="came back as"):
        probe(Access(node.url), TableLayout())


def test_the_writer_may_insert_and_read_no_names(node: ClickHouse) -> None:
    make_tables([Access(node.url)], TableLayout(), lambda _: None)
    insert = "INSERT INTO blackbox.event (machine, kind, event_id, ts) VALUES ('m', 'oom', 7, now())"
    assert node.ask(insert, user=WRITER).status == 200
    assert node.ask("SELECT event_id FROM blackbox.event WHERE machine = 'm'", user=WRITER).text == "7\n"
    assert node.ask("SELECT user FROM blackbox.event", user=WRITER).code == 497
    assert node.ask("SELECT used_bytes FROM blackbox.process", user=WRITER).code == 497
    assert node.ask("DROP TABLE blackbox.event", user=WRITER).code == 497


def test_a_wrong_password_is_one_line(node: ClickHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "password"
    file.write_text("wrong")
    file.chmod(0o600)
    assert main(["fleet", "init", "--url", node.url, "--user", WRITER, "--password-file", str(file)]) == 1
    error = capsys.readouterr().err
    assert "password is incorrect" in error
    assert error.count("\n") == 1
    assert PASSWORD not in error


def test_nobody_is_asked_for_the_statements(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "init", "--sql", "--cluster", "main"]) == 0
    text = capsys.readouterr().out
    assert "ReplicatedReplacingMergeTree" in text
    assert "CREATE ROLE IF NOT EXISTS blackbox_writer" in text
    assert "GRANT ON CLUSTER `main` INSERT ON `blackbox`.`process` TO blackbox_writer" in text


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--not-replicated", "--url", "http://localhost:1"],
        ["--url", "http://localhost:1", "--url", "http://localhost:2"],
        ["--url", "http://db.example.org"],
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BLACKBOX_FLEET", raising=False)
    assert main(["fleet", "init", *words]) == 2
