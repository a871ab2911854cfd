"""The child that reads a dump for a replay: python -m blackbox.recorder.dumps FILE MEMORY_BYTES CPU_SECONDS

Writes an empty frame once it knows that the file is a dump, then its moments, each as u32 length (little-endian) and
msgpack. Each was merged and put into JSON here before: one that cannot be costs itself. Exit code 1 and one line on
stderr where there is nothing to read.
"""

import sys
from pathlib import Path

from blackbox.errors import FailureError
from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.model.moment import Moment
from blackbox.recorder.dumps.file import Dump
from blackbox.recorder.dumps.played import LENGTH, MOMENT_BYTES_MAX
from blackbox.recorder.storage.frames import to_bytes
from blackbox.recorder.storage.moment_events import with_event_blocks
from blackbox.sources.isolation.limits import limit_this_process
from blackbox.sources.isolation.reader import fail_in_one_line


def main() -> int:
    limit_this_process(int(sys.argv[2]), int(sys.argv[3]))
    out = sys.stdout.buffer
    try:
        dump = Dump(Path(sys.argv[1]))
        out.write(LENGTH.pack(0))
        out.flush()
        for moment in dump.moments():
            body = checked(with_event_blocks(moment, Dump(dump.path).each_event))
            if body is not None:
                out.write(LENGTH.pack(len(body)) + body)
                out.flush()
    except FailureError as error:
        return fail_in_one_line(str(error))
    except MemoryError:
        return fail_in_one_line("it would take too much memory")
    return 0


def checked(moment: Moment) -> bytes | None:
    """The moment as bytes; None where nothing can show it."""
    try:
        to_json(merge(moment))
        body = to_bytes(moment)
    except MemoryError:
        raise
    except Exception:  # impossible numbers, of any kind
        return None
    return body if len(body) <= MOMENT_BYTES_MAX else None


if __name__ == "__main__":
    sys.exit(main())
