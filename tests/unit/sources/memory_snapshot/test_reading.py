"""The process that reads a snapshot: a fork of the command, or another Python where that cannot be."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.caching_allocator import MIB, CachingAllocator
from tests.waiting import PATIENCE_SECONDS

PROGRAM = """
import subprocess, sys, threading
from pathlib import Path
from msgspec import msgpack
from blackbox.errors import FailureError
from blackbox.sources.isolation import reader
from blackbox.sources.memory_snapshot import read

path, threads = Path(sys.argv[1]), sys.argv[2] == "threads"
started = []
popen, forked = subprocess.Popen, reader.run_forked
subprocess.Popen = lambda *given, **named: started.append("python") or popen(*given, **named)
reader.run_forked = lambda *given: started.append("fork") or forked(*given)
wait = threading.Event()
if threads:
    threading.Thread(target=wait.wait).start()
try:
    made = msgpack.encode(read(path, "traces"))
except FailureError as error:
    made = str(error).encode()
wait.set()
print(*started, file=sys.stderr)
sys.stdout.buffer.write(made)
"""


@pytest.mark.parametrize("what", ["whole", "broken"])
def test_either_way_tells_the_same(what: str, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    memory = CachingAllocator()
    memory.free(memory.alloc(3 * MIB))
    memory.alloc(MIB)
    path.write_bytes(pickle.dumps(memory.snapshot((2, 15))) if what == "whole" else b"\x80\x04cos\nsystem\n.")
    forked, started = (_read(path, how) for how in ("alone", "threads"))
    assert (forked[1], started[1]) == ("fork", "python")
    assert forked[0] == started[0]
    assert (b"it asks for os.system" in forked[0]) == (what == "broken")


def _read(path: Path, how: str) -> tuple[bytes, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), how], capture_output=True, timeout=PATIENCE_SECONDS, check=True
    )
    return done.stdout, done.stderr.decode().strip()
