"""The child that runs one target: python -m tests.fuzz.child TARGET INPUTS SECONDS SEED FOLDER

SECONDS are of CPU time, so that as much is tried beside other work. It lives within limits that the kernel keeps, and
leaves the input it is at in FOLDER/current, so that one that kills it is known. Writes an `Outcome` to stdout.
"""

import contextlib
import os
import random
import resource
import signal
import sys
import time
import traceback
import zlib
from collections.abc import Generator
from itertools import islice
from mmap import mmap
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.fuzz.target import Target, load
from tests.mutations import MUTANT_BYTES_MAX, mutated

INPUT_CPU_SECONDS_MAX = 2.0
"""Of one input; the slowest good one takes some milliseconds. Counted by the kernel as CPU time, whatever else runs."""
INPUT_BYTES_MAX = 64 << 20
"""Memory that one input may take beyond what was ever taken before; what is given in is some kilobytes. A target
that is read in a child with a limit of its own may name another."""
MEMORY_BYTES_MAX = 512 << 20
"""Of the whole process beyond its start; what asks for more gets a `MemoryError`."""
FINDINGS_MAX = 20
"""Then the target is given up; each place that raises is one finding."""
CORPUS_MAX = 256
"""Inputs beside the seeds that led somewhere new and are mutated further."""
BATCH = 100
CURRENT = "current"
PEAK = b"VmHWM:"
STATUS_BYTES_MAX = 8192
"""Of the kernel's page about a process, about 1,500 as things are."""


class Finding(Struct, frozen=True):
    """An input that was neither taken nor refused."""

    number: int
    """Of the input, counted from the start of the run."""
    error: str
    place: str
    trace: str
    file: str


class Outcome(Struct, frozen=True):
    """What a run of one target came to."""

    inputs: int
    refused: int
    corpus: int
    """Inputs that led somewhere new."""
    cpu_seconds_max: float
    """Of the slowest input."""
    memory_bytes: int
    """By which the process grew."""
    findings: tuple[Finding, ...]


class Run:
    """One target under fire."""

    def __init__(self, target: Target, seed: int, folder: Path) -> None:
        self._target = target
        self._seed = seed
        self._folder = folder
        self._corpus = list(target.seeds())
        self._seeds = len(self._corpus)
        self._places: set[tuple[str, str]] = set()
        self._input_bytes_max: int = getattr(target, "INPUT_BYTES_MAX", INPUT_BYTES_MAX)
        self._current = _shared(folder / CURRENT)
        self._status = os.open("/proc/self/status", os.O_RDONLY)
        self._inputs = self._refused = self._peak_bytes = 0
        self._slowest = 0.0
        self._findings: list[Finding] = []

    def go(self, inputs: int, seconds: float) -> Outcome:
        """The seeds, which must be taken, then mutants of them and of what they led to."""
        ends_at = time.process_time() + seconds
        for data in self._corpus[:]:
            self._one(data, must_be_taken=True)
        before_bytes = self._peak_bytes = self._now_peak_bytes()
        for batch in range(0, inputs, BATCH):
            chance = random.Random(self._seed * 1_000_003 + batch)
            for data in islice(mutated(chance, self._corpus, BATCH), min(BATCH, inputs - batch)):
                self._one(data)
            if time.process_time() > ends_at or len(self._findings) >= FINDINGS_MAX:
                break
        return Outcome(
            self._inputs,
            self._refused,
            len(self._corpus) - self._seeds,
            self._slowest,
            self._peak_bytes - before_bytes,
            tuple(self._findings),
        )

    def _one(self, data: bytes, must_be_taken: bool = False) -> None:
        self._inputs += 1
        self._current[:8] = len(data).to_bytes(8, "little")
        self._current[8 : 8 + len(data)] = data
        self._peak_bytes = max(self._peak_bytes, self._now_peak_bytes())  # what making the input took is not its doing
        signal.setitimer(signal.ITIMER_PROF, INPUT_CPU_SECONDS_MAX)
        began = time.process_time()
        try:
            self._target.run(data)
        except self._target.ALLOWED as error:
            self._refused += 1
            if must_be_taken:
                self._find(data, error)
            self._learn(data, error)
        except Exception as error:  # which is what is looked for
            self._find(data, error)
        self._slowest = max(self._slowest, time.process_time() - began)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not must_be_taken:
            self._weigh(data)

    def _learn(self, data: bytes, error: Exception) -> None:
        """Keeps what was refused for a new reason."""
        place = type(error).__name__, _place(error)
        if place not in self._places and len(self._corpus) < self._seeds + CORPUS_MAX:
            self._places.add(place)
            self._corpus.append(data)

    def _weigh(self, data: bytes) -> None:
        peak = self._now_peak_bytes()
        if peak - self._peak_bytes > self._input_bytes_max:
            self._find(data, MemoryError(f"{(peak - self._peak_bytes) >> 20} MiB for {len(data)} bytes"))
        self._peak_bytes = max(peak, self._peak_bytes)

    def _now_peak_bytes(self) -> int:
        # not `ru_maxrss`: it lives through exec, so that it begins with the peak of whoever started this process
        told = os.pread(self._status, STATUS_BYTES_MAX, 0)
        start = told.index(PEAK) + len(PEAK)
        return int(told[start : told.index(b"kB", start)]) * 1024

    def _find(self, data: bytes, error: Exception) -> None:
        place = _place(error)
        if any(found.place == place for found in self._findings):
            return
        file = self._folder / f"{zlib.crc32(data):08x}"
        file.write_bytes(data)
        trace = "".join(traceback.format_exception(error, limit=-8))
        self._findings.append(Finding(self._inputs, f"{type(error).__name__}: {error}"[:300], place, trace, str(file)))


def _place(error: Exception) -> str:
    """Where it was raised first."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    trace = cause.__traceback__
    if trace is None:
        return type(error).__name__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def _shared(path: Path) -> mmap:
    """Memory that outlives this process."""
    with path.open("w+b") as file:
        file.truncate(8 + MUTANT_BYTES_MAX)
        return mmap(file.fileno(), 0)


@contextlib.contextmanager
def bounded_memory() -> Generator[None, None, None]:
    """Lets this process hold no more than a child may, for as long: an input may ask for any amount, and not each
    reader of it has a limit of its own."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_most_bytes(), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _most_bytes() -> int:
    now_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return now_bytes + MEMORY_BYTES_MAX


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_most_bytes(),) * 2)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # its death, also inside of a call that never returns


def main() -> int:
    name, inputs, seconds, seed, folder = sys.argv[1:6]
    run = Run(load(name), int(seed), Path(folder))
    _limit()
    outcome = run.go(int(inputs), float(seconds))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
