"""Opening SQLite files: a chunk of rows and moments, and the settings both sides agree on."""

import os
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import quote

from blackbox.recorder.storage.privacy import is_anothers, make_file

APPLICATION_ID = 0x42424F58
"""`BBOX`: what `file` and SQLite's tools find in the header."""
FORMAT_VERSION = 3
COUNTED_VERSION = 2
"""Chunks hold their row count (table `mark`) from this version on; those of version 1 are read without."""
JOINED_VERSION = 3
"""Finished chunks have rows of several blocks in one (table `joined`) from this version on."""
BUSY_SECONDS = 1.0
"""A reader waits this long while a finished chunk is shrunk."""
LOG_PAGES = 256
"""Rows go to a log beside the file, which is emptied into it at this length: 1 MiB."""
BESIDE_SUFFIX = ".new"
"""Of a file until it is whole."""
CACHE_KIB = 512
"""Per connection; SQLite's default of 2 MiB would count against the server's memory for every open chunk."""
STATEMENTS_KEPT = 128
"""Python's own default."""

MARK_SCHEMA = "CREATE TABLE mark (id INTEGER PRIMARY KEY, body BLOB NOT NULL);"
JOINED_SCHEMA = """CREATE TABLE joined (
    id INTEGER PRIMARY KEY,
    since REAL NOT NULL,
    until REAL NOT NULL,
    rows BLOB NOT NULL
);"""
CHUNK_SCHEMA = f"""
{MARK_SCHEMA}
{JOINED_SCHEMA}
CREATE TABLE layout (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE tail (
    id INTEGER PRIMARY KEY,
    since REAL NOT NULL,
    until REAL NOT NULL,
    key INTEGER,
    frame BLOB NOT NULL,
    row BLOB NOT NULL
);
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    since REAL NOT NULL,
    until REAL NOT NULL,
    rows BLOB NOT NULL,
    frames BLOB NOT NULL
);
"""
"""`tail` holds what is not yet packed into a `block`; `joined` the rows of several blocks of a finished chunk, in which
`block` says so in their place. Rows stand before the moments, which are larger: SQLite goes through all that is before
what it reads. `since` is the time of the (first) row, `until` that of the
(last) moment: they only help to find, what counts is inside the blobs. `key` is the tail row `frame` differs from.
`mark` has one row, which tells how many rows the others have (see `blackbox.recorder.storage.row_count`)."""

EVENTS_SCHEMA = """
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
"""
"""`body` is JSON, for people with a SQLite shell; `checksum` is its CRC-32."""
EVENT_BLOCKS_SCHEMA = "CREATE TABLE IF NOT EXISTS blocks (event INTEGER PRIMARY KEY, body BLOB NOT NULL);"
"""Those of a failed allocation, by the id of its event, which is told without them: see
`blackbox.recorder.storage.event_blocks`. Logs of earlier versions have them within the event, and no such table."""


FOREIGN_SCHEMA = """
SELECT 1 FROM sqlite_schema WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL %'
UNION ALL SELECT 1 FROM sqlite_schema AS held, pragma_table_xinfo(held.name) WHERE held.type = 'table' AND hidden <> 0
LIMIT 1"""
"""Views, triggers, virtual tables and generated columns: reading a file of a stranger would run queries of his."""


COMPANIONS = ("-wal", "-shm", "-journal")
"""SQLite's files beside a database that is being written."""


class ForeignFileError(sqlite3.DatabaseError):
    """A database, but not one of ours, or of a later version; or a file of another user."""


READ_ERRORS = (sqlite3.Error, UnicodeDecodeError, MemoryError)
"""What reading a damaged file may raise: SQLite's messages may quote bytes of it, and lengths in it may be anything."""


def open_for_writing(path: Path, schema: str, statements_kept: int = STATEMENTS_KEPT) -> sqlite3.Connection:
    """The database at `path`, made if it is not there. Raises `READ_ERRORS`. A statement that is kept keeps what it was
    last executed with.

    Commits are not synced to the disk one by one: a killed process loses none of them, and `synced` bounds what a power
    cut may cost.
    """
    if any(map(is_anothers, (path, *(path.with_name(path.name + suffix) for suffix in COMPANIONS)))):
        raise ForeignFileError("it belongs to another user")
    if not path.exists():
        _create(path, schema)
    database = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=statements_kept,
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        _check(database)
        if database.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")
    except BaseException:
        database.close()
        raise
    return database


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database at `path`, which is not changed. Raises `READ_ERRORS`."""
    location = f"file:{quote(str(path))}?mode=ro"
    database = sqlite3.connect(location, timeout=BUSY_SECONDS, isolation_level=None, uri=True, check_same_thread=False)
    try:
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        _check(database)
    except BaseException:
        database.close()
        raise
    return database


def shrunk(database: sqlite3.Connection, path: Path) -> Path | None:
    """A copy of the database beside `path` without unused pages, to be renamed over it once the database is closed.

    None while readers are at work in its log: that must be empty, or SQLite would apply it to the copy. Raises
    `sqlite3.Error`. Vacuuming in place would be simpler, but killed half-way it leaves a journal behind that readers,
    who may not write, cannot apply.
    """
    busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        return None
    beside = path.with_name(path.name + BESIDE_SUFFIX)
    beside.unlink(missing_ok=True)
    make_file(beside)
    database.execute("VACUUM INTO ?", (str(beside),))
    sync(beside)
    return beside


def sync(path: Path) -> None:
    """Returns when the file, or the names in the directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _create(path: Path, schema: str) -> None:
    """Makes it beside, so that a file of that name is never without its tables, whenever the maker is killed."""
    beside = path.with_name(path.name + BESIDE_SUFFIX)
    beside.unlink(missing_ok=True)
    make_file(beside)
    with closing(sqlite3.connect(beside, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        database.executescript(f"BEGIN; {schema} COMMIT;")
    beside.rename(path)
    sync(path.parent)


def _check(database: sqlite3.Connection) -> None:
    application = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    database.execute("PRAGMA trusted_schema = OFF")
    if not _is_made_here(database) and database.execute(FOREIGN_SCHEMA).fetchone() is not None:
        raise ForeignFileError("a database that computes what it holds")
    if application != APPLICATION_ID or not 1 <= version <= FORMAT_VERSION:
        raise ForeignFileError(f"not a recording of version {FORMAT_VERSION} or older")


def _is_made_here(database: sqlite3.Connection) -> bool:
    """Whether its tables are, to the letter, some that are made here: sooner told than that nothing in it computes."""
    try:
        return _own_tables().issuperset(database.execute("SELECT type, sql FROM sqlite_schema"))
    except READ_ERRORS:
        return False


@cache
def _own_tables() -> frozenset[tuple[str, str]]:
    """The tables of chunks and event logs, as SQLite writes them down."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(CHUNK_SCHEMA + EVENTS_SCHEMA + EVENT_BLOCKS_SCHEMA)
        return frozenset(database.execute("SELECT type, sql FROM sqlite_schema"))


def version_of(database: sqlite3.Connection) -> int:
    """The format of a file. Raises `READ_ERRORS`."""
    return database.execute("PRAGMA user_version").fetchone()[0]
