"""Keep the last minutes of the recording, or any others, in one file that can be copied elsewhere.

It holds what every process on the GPUs did: sizes, block maps, events, stacks. Arguments and secrets are left out.
'blackbox report FILE' reads it. After an out-of-memory the server makes such a file by itself, in dumps/ of the data
directory.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from blackbox.cli.common import parsers, progress, range_arguments, recording_arguments
from blackbox.cli.common.query_arguments import TIMES


def configure(parser: ArgumentParser) -> None:
    """How much, of what, and where to."""
    parser.epilog = TIMES
    range_arguments.add_range_flags(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="default: blackbox-TIME.bbdump in this directory")
    recording_arguments.add_recording_flags(parser)


def run(arguments: Namespace) -> int:
    """Writes the file and prints its name."""
    from blackbox.recorder.dumps.file import new_head, write_dump
    from blackbox.recorder.storage.dump_files import dump_name

    chosen = range_arguments.chosen_range(arguments)
    directory = recording_arguments.directory(arguments)
    with recording_arguments.opened(directory) as recording:
        since, until = chosen.ends(recording_arguments.span(recording, directory)[1])
        path = parsers.path(arguments.output) if arguments.output else Path(dump_name("blackbox", until))
        events = recording.each_event(since, until)
        moments = progress.through(
            recording.moments(since, until), path.name, lambda moment: (moment.timestamp - since) / (until - since)
        )
        end = write_dump(path, new_head("made by hand", since, until), moments, events)
        if not end.moments:
            path.unlink(missing_ok=True)
            raise recording_arguments.nothing_then(recording, directory)
    print(f"{path}: {end.moments} moments, {end.events} events, {path.stat().st_size:,} bytes")
    return 0
