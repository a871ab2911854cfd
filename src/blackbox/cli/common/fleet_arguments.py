"""Flags of commands that ask a fleet's database: where it is, and as whom."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blackbox.cli.common import parsers, query_arguments, range_arguments
from blackbox.errors import UsageError

if TYPE_CHECKING:
    from blackbox.fleet.questions.cover import FleetScope
    from blackbox.fleet.reader import FleetReader
    from blackbox.fleet.send import Access

VARIABLE = "BLACKBOX_FLEET"


def add_engine_flags(parser: ArgumentParser, *, many: bool = False) -> None:
    """Adds them; with `many`, `--url` may be given several times."""
    parser.add_argument(
        "--url",
        action="append",
        metavar="URL",
        help="ClickHouse's HTTP interface, https unless it is on this machine (default: BLACKBOX_FLEET)"
        + ("; several for the nodes of a cluster with --not-replicated" if many else ""),
    )
    parser.add_argument("--user", metavar="NAME", help="user of ClickHouse (default: its own default)")
    parser.add_argument("--password-file", metavar="FILE", help="file with the user's password")
    parser.add_argument("--token-file", metavar="FILE", help="file with a token, instead of user and password")
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust, in PEM (default: those of the system)")
    parser.add_argument("--database", metavar="NAME", help="where the tables are (default: blackbox)")


def accesses(arguments: Namespace) -> "list[Access]":
    """Each that was named. Raises `UsageError` and `FailureError`."""
    from blackbox.fleet.send import access

    urls: list[str] = arguments.url or [os.environ.get(VARIABLE, "")]
    if not any(urls):
        raise UsageError(f"where is ClickHouse? --url https://db.example.org:8443, or {VARIABLE}")
    files = {
        name: None if given is None else parsers.path(given)
        for name, given in (
            ("password_file", arguments.password_file),
            ("token_file", arguments.token_file),
            ("ca", arguments.ca),
        )
    }
    return [access(url, user=arguments.user, database=database(arguments), **files) for url in urls]


def database(arguments: Namespace) -> str:
    """Where the tables are."""
    from blackbox.settings import FLEET_DATABASE

    return arguments.database or FLEET_DATABASE


def add_question_flags(parser: ArgumentParser, limit: int, of: str) -> None:
    """Adds the flags of every question: which machines, how much, how it is printed, and where the answer is."""
    parser.add_argument("--machine", metavar="NAME", default="", help="one machine only, by name or identity")
    parser.add_argument("--tenant", metavar="NAME", default="", help="machines of this tenant only")
    parser.add_argument("--limit", metavar="COUNT", default=str(limit), help=f"most {of} (default: {limit})")
    query_arguments.add_json_flag(parser)
    add_engine_flags(parser)


def add_range_flags(parser: ArgumentParser, since: str) -> None:
    """Adds the flags of a range that begins `since` by default."""
    parser.epilog = query_arguments.TIMES
    range_arguments.add_end_flags(parser, f"start (default: {since} ago)", "end (default: now)")
    parser.set_defaults(since=since, until="now")


def add_by_flag(parser: ArgumentParser) -> None:
    """Adds what processes are gathered by."""
    from blackbox.model.holder import HOLDER_KEYS

    parser.add_argument(
        "--by",
        choices=HOLDER_KEYS,
        default=HOLDER_KEYS[0],
        help="gather processes by this; workload is job, pod, container or user, whichever is known first "
        f"(default: {HOLDER_KEYS[0]})",
    )


def range_seconds(arguments: Namespace) -> tuple[float, float]:
    """Start and end of the range. Raises `UsageError`."""
    since, until = range_arguments.told_ends(arguments)
    assert since is not None
    assert until is not None
    return since, until


def limit(arguments: Namespace) -> int:
    """Raises `UsageError`."""
    return parsers.named("--limit", parsers.count, arguments.limit)


def scope(arguments: Namespace) -> "FleetScope":
    """The machines asked about."""
    from blackbox.fleet.questions.cover import FleetScope

    return FleetScope(arguments.tenant, arguments.machine)


@contextmanager
def reading(arguments: Namespace) -> "Generator[FleetReader]":
    """A reader of the database that the arguments name. Raises `UsageError` and `FailureError`."""
    from blackbox.fleet.reader import FleetReader

    found = accesses(arguments)
    if len(found) > 1:
        raise UsageError("one --url is enough: any node of a cluster asks the others")
    reader = FleetReader(found[0])
    try:
        yield reader
    finally:
        reader.close()
