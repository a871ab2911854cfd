"""Write any range of the recording as CSV, JSON Lines or Parquet, for pandas, DuckDB or a spreadsheet.

One row is one number: time, GPU, process, metric, and the least, mean and largest of its step. In the last hour a step
is a second or two samples, before that a minute, after a month an hour. With --step full every sample that is kept is
a row of its own, its step 0. Parquet needs pyarrow (pip install pyarrow).

examples:
  blackbox export --from 24h -o day.csv
  blackbox export --format parquet --from "yesterday 22:00" --to "today 06:00" -o night.parquet
  blackbox export --what events --format jsonl
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from blackbox.cli.common import output, parsers, progress, range_arguments, recording_arguments
from blackbox.cli.common.query_arguments import TIMES

if TYPE_CHECKING:
    from blackbox.recorder import Recording

T = TypeVar("T")
FORMATS = ("csv", "jsonl", "parquet")
SUBJECTS = ("series", "events")
STEPS = ("auto", "full")
STDOUT = "-"
HOUR_SECONDS = 3600.0


def configure(parser: ArgumentParser) -> None:
    """What to write, and how."""
    parser.epilog = TIMES
    parser.add_argument("--format", choices=FORMATS, help="default: by the name of the file, else csv")
    parser.add_argument("--what", choices=SUBJECTS, default="series", help="numbers over time, or events")
    range_arguments.add_end_flags(parser, "start (default: an hour ago)", "end (default: now)")
    parser.add_argument("--step", choices=STEPS, default="auto", help="full: every recorded sample is a row")
    parser.add_argument("-o", "--output", metavar="FILE", default=STDOUT, help="default: stdout")
    recording_arguments.add_recording_flags(parser)


def run(arguments: Namespace) -> int:
    """Writes the rows; tells on stderr how many."""
    since, until = range_arguments.ends_or(arguments, HOUR_SECONDS)
    directory = recording_arguments.directory(arguments)
    format_name = arguments.format or _format_of(arguments.output)
    with recording_arguments.opened(directory, recording_arguments.RANGE_CPU_SECONDS_MAX) as recording:
        recording_arguments.span(recording, directory)
        if arguments.output == STDOUT:
            _write(sys.stdout.buffer, arguments, format_name, recording, since, until)
            return 0
        path = parsers.path(arguments.output)
        with output.replacing(path) as file:
            count = _write(file, arguments, format_name, recording, since, until)
    print(f"{path}: {count} rows", file=sys.stderr)
    return 0


def _write(
    file: BinaryIO, arguments: Namespace, format_name: str, recording: "Recording", since: float, until: float
) -> int:
    from blackbox.outputs.files import EVENT_COLUMNS, FORMATS, SERIES_COLUMNS, event_rows, sample_rows, series_rows

    def told(rows: Iterable[T]) -> Iterable[T]:
        return rows if arguments.output == STDOUT else progress.through(rows, f"{arguments.output}: rows")

    if arguments.what == "events":
        count = FORMATS[format_name](file, EVENT_COLUMNS, told(event_rows(recording, since, until)))
    elif arguments.step == "full":
        count = FORMATS[format_name](file, SERIES_COLUMNS, told(sample_rows(recording, since, until)))
    else:
        omitted: list[int] = []
        rows = told(series_rows(recording, since, until, omitted.append))
        count = FORMATS[format_name](file, SERIES_COLUMNS, rows)
        if omitted:
            print(f"blackbox: the {max(omitted)} smallest series of a metric are left out", file=sys.stderr)
    if recording.damaged:
        print(f"blackbox: {recording.damaged} damaged records were skipped", file=sys.stderr)
    return count


def _format_of(output: str) -> str:
    suffix = Path(output).suffix.lstrip(".").lower()
    return suffix if suffix in FORMATS else "csv"
