"""The child that makes a report for the server: python -m blackbox.report DIRECTORY WHAT VIEWER FORMAT

WHAT: the id of an event of the recording in DIRECTORY, `newest` for its last failure, or the name of one of its dumps.
VIEWER: user id, or `all`. FORMAT: `html` or `json`. Writes a line with the page's policy (empty for JSON), then the
report, to stdout; exit code 1 and one line on stderr where there is none.
"""

import sys
from pathlib import Path

from blackbox.errors import FailureError
from blackbox.model.endpoint_parameters import NEWEST
from blackbox.recorder import Recording
from blackbox.recorder.storage.dump_files import DUMPS_DIRECTORY
from blackbox.report import build_report, to_html, to_json
from blackbox.report.page import policy_of
from blackbox.report.viewed import newest, of_dump, of_event
from blackbox.sources.isolation.limits import limit_this_process
from blackbox.sources.isolation.reader import fail_in_one_line

MEMORY_BYTES_MAX = 2 << 30
"""Address space: minutes of a machine with 100,000 blocks take half of it."""
CPU_SECONDS_MAX = 60
"""Ten times what such minutes take."""


def main() -> int:
    directory, what, viewer, shape = Path(sys.argv[1]), *sys.argv[2:5]
    limit_this_process(MEMORY_BYTES_MAX, CPU_SECONDS_MAX)
    viewer_uid = None if viewer == "all" else int(viewer)
    try:
        if what == NEWEST:
            evidence = newest(Recording(directory), viewer_uid)
        elif what.isdigit():
            evidence = of_event(Recording(directory), int(what), viewer_uid)
        else:
            evidence = of_dump(directory / DUMPS_DIRECTORY / what, viewer_uid)
        report = build_report(evidence)
        policy, body = ("", to_json(report)) if shape == "json" else (policy_of(report), to_html(report))
    except FailureError as error:
        return fail_in_one_line(str(error))
    except MemoryError:
        return fail_in_one_line("it would take too much memory")
    sys.stdout.buffer.write(policy.encode() + b"\n" + body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
