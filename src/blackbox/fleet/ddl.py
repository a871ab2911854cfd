"""The tables of `schema` as statements of ClickHouse: for one node, and for a cluster."""

import re
from collections.abc import Iterator

from msgspec import Struct

from blackbox.fleet.schema import (
    ALLOCATION,
    COMMENT,
    DEDUPLICATION_WINDOW,
    GPU,
    LOCAL_SUFFIX,
    PROCESS,
    SHIPPED,
    TABLES,
    VERSION,
)
from blackbox.fleet.table import Table, TableColumn
from blackbox.settings import FLEET_DATABASE

WRITER_ROLE, READER_ROLE, SCHEDULER_ROLE = "blackbox_writer", "blackbox_reader", "blackbox_scheduler"
KEY_COLUMNS = frozenset(
    ("tenant", "machine", "ts", "gpu_uuid", "pid", "start_ms", "kind", "event_id", "last_seen", "batch")
)
"""All that a server may read: enough to see its own deliveries arrive, and neither names nor sizes."""
BLOOM = "bloom_filter(0.01) GRANULARITY 1"


class TableLayout(Struct, frozen=True):
    """How the tables are spread."""

    database: str = FLEET_DATABASE
    cluster: str | None = None
    """Over the shards of this; None: on one node."""
    replicated: bool = True
    """The shards have replicas, and the cluster runs `ON CLUSTER` statements; else each node is asked by itself."""

    @property
    def on_cluster(self) -> str:
        return f" ON CLUSTER {_name(self.cluster)}" if self.cluster is not None and self.replicated else ""

    def stored(self, table: Table) -> str:
        """The table that holds the rows."""
        suffix = "" if self.cluster is None else LOCAL_SUFFIX
        return f"{_name(self.database)}.{_name(table.name + suffix)}"

    def asked(self, table: Table) -> str:
        """The table that is read and written."""
        return f"{_name(self.database)}.{_name(table.name)}"


def statements(layout: TableLayout, tables: tuple[Table, ...] = TABLES, version: int = VERSION) -> Iterator[str]:
    """All it takes to make the tables, or to bring those of an older version up to date; to run twice does no harm."""
    yield f"CREATE DATABASE IF NOT EXISTS {_name(layout.database)}{layout.on_cluster}"
    for table in tables:
        comment = f"COMMENT '{COMMENT} {version}'"
        stored = layout.stored(table)
        yield f"CREATE TABLE IF NOT EXISTS {stored}{layout.on_cluster} ({_columns(table)}) {_engine(table, layout)}"
        yield from _added(table, stored, layout)
        if layout.cluster is not None:
            asked = layout.asked(table)
            spread = f"Distributed({_name(layout.cluster)}, {_name(layout.database)}, "
            spread += f"{_name(table.name + LOCAL_SUFFIX)}, {table.shard})"
            yield f"CREATE TABLE IF NOT EXISTS {asked}{layout.on_cluster} AS {stored} ENGINE = {spread}"
            yield from _added(table, asked, layout)
        yield f"ALTER TABLE {layout.asked(table)}{layout.on_cluster} MODIFY {comment}"
    yield from _views(layout, tables)


def role_statements(layout: TableLayout) -> Iterator[str]:
    """Who may do what: servers insert, and read their own deliveries' keys; people read; a scheduler's hooks insert."""
    for role in (WRITER_ROLE, READER_ROLE, SCHEDULER_ROLE):
        yield f"CREATE ROLE IF NOT EXISTS {role}{layout.on_cluster}"
    for grant in writer_grants(layout):
        yield f"GRANT{layout.on_cluster} {grant} TO {WRITER_ROLE}"
    for grant in reader_grants(layout):
        yield f"GRANT{layout.on_cluster} {grant} TO {READER_ROLE}"
    for grant in scheduler_grants(layout):
        yield f"GRANT{layout.on_cluster} {grant} TO {SCHEDULER_ROLE}"


def writer_grants(layout: TableLayout) -> Iterator[str]:
    """What a server needs, as the middle of `GRANT ... TO`: on a cluster the tables of its own shard, too, which the
    engine writes in the name of whoever asks."""
    for table in SHIPPED:
        keys = [_name(column.name) for column in table.columns if column.name in KEY_COLUMNS]
        for name in dict.fromkeys((layout.asked(table), layout.stored(table))):
            yield f"INSERT ON {name}"
            yield f"SELECT({', '.join(keys)}) ON {name}"


def scheduler_grants(layout: TableLayout) -> Iterator[str]:
    """What a scheduler's hooks need, likewise: to write what they gave, and to read nothing."""
    for name in dict.fromkeys((layout.asked(ALLOCATION), layout.stored(ALLOCATION))):
        yield f"INSERT ON {name}"


def reader_grants(layout: TableLayout) -> Iterator[str]:
    """What people need, likewise: the tables, and on a cluster its shards, to be told which of them do not answer."""
    yield f"SELECT ON {_name(layout.database)}.*"
    if layout.cluster is not None:
        yield "SELECT ON system.clusters"


def _columns(table: Table) -> str:
    lines = [_column(column) for column in table.columns]
    lines += [f"INDEX {name}_bloom {_name(name)} TYPE {BLOOM}" for name in table.indices]
    return ", ".join(lines)


def _column(column: TableColumn) -> str:
    default = "" if column.default is None else f" {column.default}"
    comment = f" COMMENT {_text(column.doc)}"
    codec = "" if column.codec is None else f" CODEC({column.codec})"
    return f"{_name(column.name)} {column.type}{default}{comment}{codec}"


def _engine(table: Table, layout: TableLayout) -> str:
    arguments = [table.version] if table.merging == "replacing" else []
    kind = {"replacing": "ReplacingMergeTree", "aggregating": "AggregatingMergeTree"}[table.merging]
    settings = f"non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"
    if layout.cluster is not None and layout.replicated:
        kind = f"Replicated{kind}"
        path = f"/clickhouse/tables/{{shard}}/{_plain(layout.database)}/{table.name}"
        arguments = [f"'{path}'", "'{replica}'", *arguments]
        settings = f"replicated_deduplication_window = {DEDUPLICATION_WINDOW}"
    parts = [f"ENGINE = {kind}({', '.join(arguments)})"]
    if table.partition is not None:
        parts.append(f"PARTITION BY {table.partition}")
    parts.append(f"ORDER BY ({table.order})")
    if table.ttl is not None:
        parts.append(f"TTL {table.ttl}")
        settings += ", ttl_only_drop_parts = 1" if table.partition is not None else ""
    return f"{' '.join(parts)} SETTINGS {settings}"


def _added(table: Table, name: str, layout: TableLayout) -> Iterator[str]:
    """One statement that adds what an older table lacks."""
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {_column(column)}" for column in table.columns)
    yield f"ALTER TABLE {name}{layout.on_cluster} {added}"


def _views(layout: TableLayout, tables: tuple[Table, ...]) -> Iterator[str]:
    """They run in the name of whoever made them: a server that inserts may not read what they read."""
    sources = {table.name: table for table in (*tables, PROCESS, GPU)}
    for table in tables:
        if table.fed_by is None or table.source is None:
            continue
        view = f"{_name(layout.database)}.{_name(table.name + '_view')}"
        yield f"DROP VIEW IF EXISTS {view}{layout.on_cluster}"
        yield (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view}{layout.on_cluster} TO {layout.stored(table)} "
            f"DEFINER = CURRENT_USER SQL SECURITY DEFINER AS {table.fed_by} FROM {layout.stored(sources[table.source])}"
        )


def _name(text: str | None) -> str:
    return f"`{_plain(text or '')}`"


def _plain(text: str) -> str:
    """Without signs that end a name or a text."""
    return re.sub(r"[^\w.-]", "", text)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
