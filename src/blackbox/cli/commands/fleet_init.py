"""Make the tables of a fleet in ClickHouse, or bring those of an older version up to date; then write a row and read it
back. To run it again does no harm.

Users are not made: --sql prints every statement, those of the roles too (servers insert, people read, a scheduler's
hooks tell what they gave), and runs nothing.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common import fleet_arguments
from blackbox.errors import UsageError


def configure(parser: ArgumentParser) -> None:
    """Where, and how the tables are spread."""
    fleet_arguments.add_engine_flags(parser, many=True)
    parser.add_argument(
        "--cluster", metavar="NAME", help="spread the tables over the shards of this cluster, each machine on one"
    )
    parser.add_argument(
        "--not-replicated",
        action="store_true",
        help="with --cluster: shards without replicas and without Keeper; name every node with a --url",
    )
    parser.add_argument("--sql", action="store_true", help="print the statements, and run nothing")


def run(arguments: Namespace) -> int:
    """Makes the tables; or prints how."""
    if arguments.not_replicated and arguments.cluster is None:
        raise UsageError("--not-replicated goes with --cluster")
    if len(arguments.url or ()) > 1 and not arguments.not_replicated:
        raise UsageError("several nodes go with --cluster NAME --not-replicated; otherwise one --url is enough")

    from blackbox.fleet.ddl import TableLayout, role_statements, statements

    layout = TableLayout(fleet_arguments.database(arguments), arguments.cluster, not arguments.not_replicated)
    if arguments.sql:
        for statement in (*statements(layout), *role_statements(layout)):
            print(f"{statement};")
        return 0

    from blackbox.fleet.setup import make_tables

    make_tables(fleet_arguments.accesses(arguments), layout, print)
    return 0
