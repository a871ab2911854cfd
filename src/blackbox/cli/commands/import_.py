"""Print what a file recorded elsewhere holds, as JSON, in the shape of 'GET /vram' or of a part of it.

Exit code 1 when the file cannot be read or is not what its name says. Nothing in a file is ever executed.
"""

import importlib
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from blackbox.cli.common import parsers, snapshot_arguments
from blackbox.cli.common.plain_work import plain_work
from blackbox.errors import UsageError
from blackbox.paths import SNAPSHOT_SUFFIXES


class ImporterModule(Protocol):
    """What an importer's module offers."""

    def read(self, path: Path) -> bytes:
        """The JSON to print, on one line. Raises one of `blackbox.errors`."""
        ...


class Importer(NamedTuple):
    suffixes: tuple[str, ...]
    module: str
    what: str


IMPORTERS = (
    Importer(
        SNAPSHOT_SUFFIXES,
        "blackbox.cli.commands.import_pickle",
        "PyTorch memory snapshot: prints the object of /vram",
    ),
    Importer(
        (".prof", ".pprof", ".pb.gz"),
        "blackbox.cli.commands.import_jax",
        "device memory profile of JAX: prints the object of /vram",
    ),
    Importer(
        (".ncu-rep", ".csv"), "blackbox.cli.commands.import_ncu", "report of Nsight Compute: prints its nsight_metrics"
    ),
)
"""A new kind of file is one module with `read`, and one line here."""


def configure(parser: ArgumentParser) -> None:
    """Which file, and how to print it."""
    kinds = "; ".join(f"{', '.join(importer.suffixes)} - {importer.what}" for importer in IMPORTERS)
    parser.add_argument("file", metavar="FILE", help=kinds)
    parser.add_argument("--json", action="store_true", help="JSON, which it always is")
    parser.add_argument("--compact", action="store_true", help="on one line")


def run(arguments: Namespace) -> int:
    """Reads and prints."""
    with plain_work():
        return _print(arguments)


def _print(arguments: Namespace) -> int:
    import msgspec

    path = parsers.path(arguments.file)
    body = _importer(path).read(path)
    sys.stdout.buffer.write((body if arguments.compact else msgspec.json.format(body, indent=2)) + b"\n")
    return 0


def _importer(path: Path) -> ImporterModule:
    for importer in IMPORTERS:
        if path.name.lower().endswith(importer.suffixes):
            return cast(ImporterModule, importlib.import_module(importer.module))
    if snapshot_arguments.begins_like_a_snapshot(path):  # as the report takes it: whatever the file is called
        return cast(ImporterModule, importlib.import_module(IMPORTERS[0].module))
    known = ", ".join(suffix for importer in IMPORTERS for suffix in importer.suffixes)
    raise UsageError(f"{path}: the name must end in one of {known}")
