"""A table of a fleet's database, as data."""

from typing import Literal

from msgspec import Struct

Merging = Literal["replacing", "aggregating"]
"""What becomes of rows with one key: the newest stays, or they are aggregated."""


class TableColumn(Struct, frozen=True):
    name: str
    type: str
    doc: str
    """Meaning and unit."""
    codec: str | None = None
    default: str | None = None
    """`DEFAULT ...` or `ALIAS ...`: such a column is not shipped."""


class Table(Struct, frozen=True):
    name: str
    doc: str
    columns: tuple[TableColumn, ...]
    order: str
    """The sorting key, which is the identity of a row."""
    merging: Merging = "replacing"
    time: str = "ts"
    """Column of the time that a row is of: a delivery is looked for between the first and the last."""
    version: str = "received"
    """Of a replacing table: of rows with one key that with the largest value here stays."""
    partition: str | None = None
    ttl: str | None = None
    shard: str = "cityHash64(machine)"
    indices: tuple[str, ...] = ()
    """Columns with a bloom filter: a question for one value reads few granules."""
    fed_by: str | None = None
    """SELECT that fills it with every insert into another table."""
    source: str | None = None
    """That table."""

    @property
    def shipped(self) -> tuple[TableColumn, ...]:
        """Columns that an INSERT names."""
        return tuple(column for column in self.columns if column.default is None)
