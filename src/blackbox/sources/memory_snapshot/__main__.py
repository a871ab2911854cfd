"""The child that reads a snapshot file: python -m blackbox.sources.memory_snapshot FILE MEMORY_BYTES CPU_SECONDS PARTS

PARTS: one of `SnapshotParts`. Reads the packed rules of the user's own from stdin, where there are any. Writes the
packed `Contents`, or the moments to play, to stdout; exit code 1 and one line on stderr where that cannot be done.
"""

import gc
import sys
from pathlib import Path
from typing import cast

import msgspec

from blackbox.analysis.rules import NO_RULES, CategoryRules
from blackbox.sources.isolation.reader import fail_in_one_line, limit_this_process
from blackbox.sources.memory_snapshot.compiled import compiled_reader
from blackbox.sources.memory_snapshot.contents import contents
from blackbox.sources.memory_snapshot.entry_reader import PlainEntryReader
from blackbox.sources.memory_snapshot.parts import SnapshotParts
from blackbox.sources.memory_snapshot.unpickle import snapshot_data


def main() -> int:
    path, memory_bytes, cpu_seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    # plain data has no cycles, and looking for some in millions of objects costs more than reading them
    gc.disable()
    limit_this_process(memory_bytes, cpu_seconds)
    rules = sys.stdin.buffer.read()
    parts = cast(SnapshotParts, sys.argv[4])
    try:
        with path.open("rb") as pickled:
            told = snapshot_data(pickled, parts != "end", compiled_reader() or PlainEntryReader)
        known = msgspec.msgpack.decode(rules, type=CategoryRules) if rules else NO_RULES
        if parts == "playback":
            from blackbox.sources.memory_snapshot.playback import packed_playback  # no report needs it

            packed = packed_playback(told, known)
        else:
            packed = msgspec.msgpack.encode(contents(told, parts, known))
    except MemoryError:
        return fail_in_one_line(f"it would take more than {memory_bytes >> 20} MiB to read")
    except Exception as error:  # a broken pickle may provoke any of them
        return fail_in_one_line(f"not a memory snapshot of PyTorch: {error or type(error).__name__}")
    sys.stdout.buffer.write(packed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
