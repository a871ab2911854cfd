"""The statements that make the tables."""

from blackbox.fleet.ddl import TableLayout, role_statements, statements, writer_grants
from blackbox.fleet.schema import TABLES, VERSION


def test_one_node_has_plain_tables_and_no_distributed_ones() -> None:
    text = "\n".join(statements(TableLayout()))
    assert "ON CLUSTER" not in text
    assert "Distributed" not in text
    assert "Replicated" not in text
    assert text.count("non_replicated_deduplication_window") == len(TABLES), "0 by default: every repeat would be kept"


def test_a_cluster_has_replicated_tables_by_shard_and_distributed_ones_over_them() -> None:
    text = "\n".join(statements(TableLayout(cluster="main")))
    assert text.count("ENGINE = Replicated") == len(TABLES)
    assert text.count("'/clickhouse/tables/{shard}/blackbox/") == len(TABLES)
    assert text.count("ENGINE = Distributed(`main`, `blackbox`, ") == len(TABLES)
    assert "`process_local`" in text
    assert all("ON CLUSTER `main`" in statement for statement in statements(TableLayout(cluster="main")))


def test_shards_without_replicas_are_asked_one_by_one() -> None:
    text = "\n".join(statements(TableLayout(cluster="main", replicated=False)))
    assert "ON CLUSTER" not in text
    assert "Replicated" not in text
    assert text.count("ENGINE = Distributed") == len(TABLES)


def test_every_table_says_its_version() -> None:
    assert "\n".join(statements(TableLayout())).count(f"version {VERSION}'") == len(TABLES)


def test_servers_may_insert_and_read_keys_alone() -> None:
    grants = list(writer_grants(TableLayout()))
    read = " ".join(grant for grant in grants if grant.startswith("SELECT"))
    assert read
    assert not any(f"`{name}`" in read for name in ("user", "name", "pod", "container", "used_bytes", "host", "detail"))
    assert all(grant.startswith(("INSERT ON", "SELECT(")) for grant in grants)
    assert "allocation" not in " ".join(grants)


def test_names_cannot_leave_their_quotes() -> None:
    text = "\n".join((*statements(TableLayout("a`; DROP x", "b', `; DROP y")), *role_statements(TableLayout("a`b"))))
    assert "DROP x" not in text
    assert "DROP y" not in text
    assert "`aDROPx`.`process`" in text
