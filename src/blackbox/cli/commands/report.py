"""Tell what happened before the GPU memory ran out: one HTML page, and a summary on the terminal.

WHAT is a dump, a PyTorch memory snapshot (.pickle), a data directory, or the URL of a server. Without it the report is
about the last out-of-memory or crash that this machine recorded, or about now where there was none.

examples:
  blackbox report
  blackbox report --from "yesterday 22:00" --to "yesterday 22:20"
  blackbox report oom-20261122T120307Z.bbdump --text
  blackbox report snapshot.pickle -o report.html
  blackbox report snapshot.pickle --json
  blackbox report snapshot.pickle --folded > held.txt
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.cli.common import (
    output,
    parsers,
    range_arguments,
    recording_arguments,
    server_arguments,
    snapshot_arguments,
)
from blackbox.cli.common.paragraphs import say
from blackbox.cli.common.plain_work import plain_work
from blackbox.cli.common.query_arguments import TIMES
from blackbox.cli.common.range_arguments import ChosenRange
from blackbox.errors import FailureError, UsageError
from blackbox.paths import SNAPSHOT_SUFFIXES

if TYPE_CHECKING:
    from blackbox.analysis.rules import CategoryRules
    from blackbox.model.event import Event
    from blackbox.report import Evidence

URLS = ("http://", "https://")
STDOUT = "-"
PAGE = "blackbox-report.html"


def configure(parser: ArgumentParser) -> None:
    """About what, and how to tell it."""
    parser.epilog = TIMES
    parser.add_argument("what", nargs="?", metavar="WHAT", help="dump, .pickle, data directory or URL")
    parser.add_argument("--text", action="store_true", help="print the summary only, write no page")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, for programs; write no page")
    parser.add_argument(
        "--folded", action="store_true", help="print what was held by stack, for flame-graph tools; write no page"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"where the page goes, - for stdout (default: {PAGE}, or WHAT.html)",
    )
    range_arguments.add_range_flags(parser, "of a recording or a server: ")
    snapshot_arguments.add_rules_flag(parser)
    parser.add_argument("--url", metavar="URL", help="of a server: the same as WHAT")
    parser.add_argument("--token-file", metavar="FILE", help="of a URL: file with the server's token")
    recording_arguments.add_recording_flags(parser)


def run(arguments: Namespace) -> int:
    """Writes the page and prints the summary."""
    for flag in ("json", "folded"):
        if getattr(arguments, flag) and (arguments.text or arguments.output):
            raise UsageError(f"--{flag} prints to stdout alone: neither --text nor --output goes with it")
    if arguments.json and arguments.folded:
        raise UsageError("--json and --folded both print to stdout alone")
    with plain_work():
        return _report(arguments)


def _report(arguments: Namespace) -> int:
    from blackbox.report import build_report, to_folded, to_html, to_json, to_text

    report = build_report(_evidence(arguments, range_arguments.chosen_range(arguments)))
    if arguments.json:
        sys.stdout.buffer.write(to_json(report) + b"\n")
        return 0
    if arguments.folded:
        folded = to_folded(report)
        if not folded:
            raise FailureError(f"{report.origin}: no memory is known by stack")
        sys.stdout.buffer.write(folded)
        return 0
    if arguments.output == STDOUT:
        sys.stdout.buffer.write(to_html(report))
        return 0
    say(to_text(report).rstrip("\n"), sys.stdout, hang=2)
    if _writes_page(arguments):
        path = parsers.path(arguments.output) if arguments.output else Path(_page_name(arguments.what))
        output.write_page(path, to_html(report))
        say(f"\nThe whole of it: {path}", sys.stdout)
    return 0


def _evidence(arguments: Namespace, chosen: ChosenRange) -> "Evidence":
    what: str | None = arguments.what or arguments.url
    if arguments.what is not None and arguments.url is not None:
        raise UsageError("WHAT and --url both say what the report is about: one of them is enough")
    rules = snapshot_arguments.rules(arguments)
    if arguments.rules is not None and not _may_be_a_snapshot(what):
        raise UsageError(f"--rules is for a PyTorch snapshot ({', '.join(SNAPSHOT_SUFFIXES)})")
    if what is None:
        return _of_directory(recording_arguments.directory(arguments), chosen)
    if what.startswith(URLS):
        from blackbox.cli.commands.report_server import of_server

        arguments.url, arguments.unix_socket = what, None
        return of_server(server_arguments.client(arguments), what, chosen)
    path = parsers.path(what)
    if _is_directory(path):
        return _of_directory(path, chosen)
    if chosen.is_told:
        raise UsageError("--from and --to are for a recording or a server; a dump and a snapshot are told whole")
    if snapshot_arguments.begins_like_a_snapshot(path):
        return _of_snapshot(arguments, path, rules)
    from blackbox.recorder.dumps.file import is_dump
    from blackbox.report.origins import of_dump
    from blackbox.sources.isolation.reader import within_limits

    if is_dump(path):
        with within_limits(path, recording_arguments.MEMORY_BYTES_MAX, recording_arguments.CPU_SECONDS_MAX):
            return of_dump(path)
    if snapshot_arguments.is_pickle(path.name):
        return _of_snapshot(arguments, path, rules)
    raise FailureError(f"{path}: neither a dump of Blackbox, nor a PyTorch snapshot ({', '.join(SNAPSHOT_SUFFIXES)})")


def _may_be_a_snapshot(what: str | None) -> bool:
    """By its name, or as it begins."""
    if what is None or what.startswith(URLS):
        return False
    return snapshot_arguments.is_pickle(what) or snapshot_arguments.begins_like_a_snapshot(Path(what))


def _of_snapshot(arguments: Namespace, path: Path, rules: "CategoryRules") -> "Evidence":
    from blackbox.cli.common.progress import reading
    from blackbox.report.snapshot_file import of_snapshot_file

    with reading(path) as progress:
        return of_snapshot_file(path, rules, progress, "traces" if _writes_page(arguments) else "figures")


def _of_directory(directory: Path, chosen: ChosenRange) -> "Evidence":
    """Of the range that was named; else of the last failure recorded, from the dump that was kept of it where there is
    one; else of the last minutes."""
    from blackbox.report.evidence import FAILURES, FAILURES_MAX, newest_failure
    from blackbox.report.origins import of_recording

    with recording_arguments.opened(directory) as recording:
        failures = [] if chosen.is_told else recording.events(kind=FAILURES, limit=FAILURES_MAX, light=True)
        failure = newest_failure(found.event for found in failures)
        kept = None if failure is None else _kept_dump(directory, failure)
        if kept is not None:
            return kept
        until = failure.timestamp if failure is not None else recording_arguments.span(recording, directory)[1]
        evidence = of_recording(recording, *chosen.ends(until), f"recording in {directory}")
        if evidence is None:
            raise recording_arguments.nothing_then(recording, directory)
    return evidence


def _kept_dump(directory: Path, failure: "Event") -> "Evidence | None":
    """The newest dump of a failure, where it is of this one or of a later one."""
    from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY, dump_files
    from blackbox.report.evidence import FAILURES
    from blackbox.report.origins import of_dump

    dumps = [path for path in dump_files(directory / DUMPS_DIRECTORY) if path.name.startswith(FAILURES)]
    evidence = of_dump(dumps[-1]) if dumps else None
    if evidence is None or evidence.failure is None or evidence.failure.timestamp < failure.timestamp:
        return None
    return evidence


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None


def _writes_page(arguments: Namespace) -> bool:
    if arguments.json or arguments.folded:
        return False
    return not arguments.text or bool(arguments.output)


def _page_name(what: str | None) -> str:
    if what is None or what.startswith(URLS) or Path(what).is_dir():
        return PAGE
    name = Path(what).name.lower()
    known = max((suffix for suffix in SNAPSHOT_SUFFIXES if name.endswith(suffix)), key=len, default=Path(what).suffix)
    return f"{Path(what).name.removesuffix(known) or name}.html"
