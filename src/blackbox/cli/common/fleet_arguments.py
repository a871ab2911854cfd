"""Flags of commands that ask a fleet's database: where it is, and as whom."""

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from blackbox.cli.common import parsers
from blackbox.errors import UsageError

if TYPE_CHECKING:
    from blackbox.fleet.send import Access

VARIABLE = "BLACKBOX_FLEET"
DATABASE = "blackbox"


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
    parser.add_argument(
        "--database", metavar="NAME", default=DATABASE, help=f"where the tables are (default: {DATABASE})"
    )


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
    return [access(url, user=arguments.user, database=arguments.database, **files) for url in urls]
