"""The child that reads a snapshot file: python -m blackbox.sources.memory_snapshot FILE MEMORY_BYTES CPU_SECONDS PARTS

PARTS: one of `SnapshotParts`. Reads the packed rules of the user's own from stdin, where there are any. Writes the
packed `Contents`, or the moments to play, to stdout; exit code 1 and one line on stderr where that cannot be done.
"""

import gc
import sys
from functools import partial
from pathlib import Path
from typing import cast

import msgspec

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.errors import FailureError
from blackbox.sources.isolation.limits import limit_this_process
from blackbox.sources.isolation.reader import fail_in_one_line
from blackbox.sources.memory_snapshot.packed import packed, packed_contents
from blackbox.sources.memory_snapshot.parts import SnapshotParts


def main() -> int:
    path, memory_bytes, cpu_seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    # plain data has no cycles, and looking for some in millions of objects costs more than reading them
    gc.disable()
    limit_this_process(memory_bytes, cpu_seconds)
    rules = sys.stdin.buffer.read()
    known = msgspec.msgpack.decode(rules, type=CategoryRules) if rules else NO_RULES
    parts = cast(SnapshotParts, sys.argv[4])
    try:
        if parts == "playback":
            from blackbox.sources.memory_snapshot.playback import packed_playback  # no report needs it

            made = packed(partial(packed_playback, rules=known), True, path, memory_bytes)
        else:
            made = packed_contents(parts, known, path, memory_bytes)
    except FailureError as error:
        return fail_in_one_line(str(error))
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
