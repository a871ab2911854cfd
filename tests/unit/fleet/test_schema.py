"""The tables as data: what they promise to those who write and read them."""

import re

import pytest

from blackbox.fleet import schema
from blackbox.fleet.schema import ENGINE_METRICS, GPU_METRICS, PROCESS_METRICS, TABLES
from blackbox.fleet.table import Table
from blackbox.model.series import RECORDED

NOT_SHIPPED = {
    "gpu": {"used_percent"},  # worked out of two that are shipped
    "process": {metric.key for metric in RECORDED["process"] if metric.key not in PROCESS_METRICS},
    "engine": set[str](),
}
AGGREGATES = {"max", "min", "groupBitOr"}
"""They do not mind a row that comes twice, nor in which order rows come."""


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_of_the_key_exists_and_is_never_null(table: Table) -> None:
    types = {column.name: column.type for column in table.columns}
    named = [re.sub(r"^toStartOfHour\((\w+)\)$", r"\1", part.strip()) for part in table.order.split(",")]
    assert set(named) <= types.keys()
    assert [name for name in named if "Nullable" in types[name]] == []
    assert table.columns[0].name == "tenant", "policies of tenants are about the first column of the key"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_that_comes_twice_is_one_row(table: Table) -> None:
    names = {column.name for column in table.columns}
    if table.merging == "replacing":
        assert table.version in names
        return
    key = {part.strip() for part in table.order.split(",")}
    for column in table.columns:
        if column.name in key or column.default is not None:
            continue
        match = re.match(r"SimpleAggregateFunction\((\w+), ", column.type)
        assert match is not None, f"{column.name} would be that of any row"
        assert match[1] in AGGREGATES


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_names_are_unique_and_every_column_says_what_it_means(table: Table) -> None:
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert [column.name for column in table.columns if not column.doc.endswith((".", "`."))] == []


def test_what_is_recorded_is_shipped_or_left_out_on_purpose() -> None:
    shipped = {"gpu": GPU_METRICS, "process": PROCESS_METRICS, "engine": ENGINE_METRICS}
    for kind, metrics in shipped.items():
        recorded = {metric.key for metric in RECORDED[kind]}  # type: ignore[index]
        assert metrics.keys() | NOT_SHIPPED[kind] == recorded


def test_questions_for_one_value_have_an_index() -> None:
    assert {"pod", "pod_uid", "slurm_job", "user"} <= set(schema.LIFE.indices)
