"""Files that are no recording of ours are not read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from blackbox.recorder.storage.database import EVENTS_SCHEMA, ForeignFileError, open_for_reading, open_for_writing

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"


@pytest.mark.parametrize(
    "schema",
    [
        f"DROP TABLE event; CREATE VIEW event AS {ENDLESS}",
        "CREATE TRIGGER t AFTER INSERT ON event BEGIN SELECT 1; END",
        "ALTER TABLE event ADD COLUMN large BLOB GENERATED ALWAYS AS (zeroblob(1000000000))",
    ],
)
def test_a_file_that_computes_what_it_holds_is_refused(schema: str, tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    open_for_writing(path, EVENTS_SCHEMA).close()
    open_for_reading(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(schema)
    with pytest.raises(ForeignFileError):
        open_for_reading(path)
