"""Has a file that may come from anyone read by a child process, within limits that the kernel keeps."""

import contextlib
import resource
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from blackbox.errors import FailureError
from blackbox.model.text import printable
from blackbox.sources.isolation.forked import TooMuchMadeError, can_fork, run_forked

if TYPE_CHECKING:
    import subprocess

    from blackbox.sources.isolation.outputs import Outputs

EVERY_SECONDS = 0.2
"""Between two looks at how far a fork is."""

LINE_CHARS_MAX = 300
"""Of a reason why a file cannot be read, which may quote it."""
PATIENCE = 5
"""The wall clock may run this much faster than the CPU's before the child is given up."""


Progress = Callable[[int], None]
"""Is told, from time to time, how many bytes of a file were read; 0 where it is closed again, or not yet open."""


Work = Callable[[Path, int], bytes]
"""Reads a file within so many bytes of memory, told for messages. Raises `FailureError`, of one line."""


class ReaderLimits(NamedTuple):
    """What reading a kind of file may take."""

    file_bytes_max: int
    memory_bytes_base: int
    """Python itself, and its address space."""
    memory_per_file_byte: int
    cpu_seconds_base: int
    file_bytes_per_cpu_second: int


def read_in_child(
    path: Path,
    module: str,
    what: str,
    limits: ReaderLimits,
    arguments: Sequence[str] = (),
    given: bytes = b"",
    progress: Progress | None = None,
    work: Work | None = None,
    unpacked_factor: int = 1,
) -> bytes:
    """What `python -m module FILE MEMORY_BYTES CPU_SECONDS arguments...` writes, with `given` on its stdin.

    `what` the file should be, for messages. `work` is what that module does: where it is told, and this process can be
    forked, a fork does it, which starts no second Python. A file that is packed counts for `unpacked_factor` times its
    size. Raises `FailureError`.
    """
    size = min(limits.file_bytes_max, _size(path, limits.file_bytes_max) * unpacked_factor)
    cpu_seconds = limits.cpu_seconds_base + size // limits.file_bytes_per_cpu_second
    memory_bytes = limits.memory_bytes_base + size * limits.memory_per_file_byte
    if work is not None and can_fork():
        return _read_in_fork(partial(work, path, memory_bytes), path, what, memory_bytes, cpu_seconds, progress)
    import subprocess  # a fork does without

    command = [sys.executable, "-P", "-m", module, path.absolute(), str(memory_bytes), str(cpu_seconds), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:
        outputs = _outputs(child, given, memory_bytes, cpu_seconds * PATIENCE, path, progress)
    return _answer(path, what, child.returncode, *outputs)


def _read_in_fork(
    work: Callable[[], bytes], path: Path, what: str, memory_bytes: int, cpu_seconds: int, progress: Progress | None
) -> bytes:
    def tick(pid: int) -> None:
        if progress is not None:
            progress(_bytes_read(pid, path))

    seconds = cpu_seconds * PATIENCE
    try:
        code, made = run_forked(work, memory_bytes, cpu_seconds, seconds, EVERY_SECONDS, tick)
    except TimeoutError:
        raise FailureError(f"{path}: not read within {seconds} s") from None
    except TooMuchMadeError:
        raise FailureError(f"{path}: {_too_much(memory_bytes)}") from None
    return _answer(path, what, code, made, made)


def _answer(path: Path, what: str, code: int, written: bytes, said: bytes) -> bytes:
    """What a child wrote that ended so. Raises `FailureError`."""
    if code < 0:
        raise FailureError(f"{path}: {_ending(-code, what)}")
    if code > 0:
        raise FailureError(f"{path}: {last_line(said)}")
    return written


def _outputs(
    child: "subprocess.Popen[bytes]",
    given: bytes,
    bytes_max: int,
    seconds: float,
    path: Path,
    progress: Progress | None,
) -> "Outputs":
    """What it writes until it ends: no more than it may hold in memory. Raises `FailureError`."""

    def tick() -> None:
        if progress is not None:
            progress(_bytes_read(child.pid, path))

    import subprocess

    from blackbox.sources.isolation.outputs import TooMuchWrittenError, outputs_of

    try:
        return outputs_of(child, bytes_max, seconds, given, tick)
    except subprocess.TimeoutExpired:
        raise FailureError(f"{path}: not read within {seconds:g} s") from None
    except TooMuchWrittenError:
        raise FailureError(f"{path}: {_too_much(bytes_max)}") from None


def _too_much(bytes_max: int) -> str:
    return f"what was read of it takes more than {bytes_max >> 20} MiB"


def _bytes_read(pid: int, path: Path) -> int:
    """How far a child is in the file, as the kernel sees it; 0 where it does not have it open."""
    wanted = str(path.resolve())
    with contextlib.suppress(OSError, ValueError, StopIteration):
        opened = next(one for one in Path(f"/proc/{pid}/fd").iterdir() if str(one.readlink()) == wanted)
        first = Path(f"/proc/{pid}/fdinfo", opened.name).read_text().splitlines()[0]
        return int(first.removeprefix("pos:"))
    return 0


@contextmanager
def within_limits(path: Path, memory_bytes: int, cpu_seconds: int) -> Generator[None]:
    """Lets this process, a command that ends with its answer, take no more address space and CPU time than so much
    while it reads a file. Raises `FailureError` in its place; for the main thread."""
    memory, cpu = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = int(usage.ru_utime + usage.ru_stime) + 1 + cpu_seconds

    def too_long(*_: object) -> None:
        raise FailureError(f"{path}: reading it took more than {cpu_seconds} s of CPU time")

    handler = signal.signal(signal.SIGXCPU, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (_least(memory_bytes, memory[0]), memory[1]))
    resource.setrlimit(resource.RLIMIT_CPU, (_least(until, cpu[0]), cpu[1]))
    try:
        yield
    except MemoryError:
        raise FailureError(f"{path}: reading it would take too much memory") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        resource.setrlimit(resource.RLIMIT_CPU, cpu)
        signal.signal(signal.SIGXCPU, handler)


def _least(limit: int, before: int) -> int:
    return limit if before == resource.RLIM_INFINITY else min(limit, before)


def fail_in_one_line(reason: str) -> int:
    """What the child does where it cannot read the file; returns its exit code."""
    print(one_line(reason), file=sys.stderr)
    return 1


def one_line(reason: str) -> str:
    """A reason as a line of a message, which commands no terminal: it may quote the file."""
    return printable(" ".join(reason.split())[:LINE_CHARS_MAX])


def require_file(path: Path) -> None:
    """Raises `FailureError` where there is something else of that name: opening a pipe would wait for its writer."""
    try:
        if path.exists() and not path.is_file():
            raise FailureError(f"{path}: not a file")
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror or error}") from None


def _size(path: Path, bytes_max: int) -> int:
    require_file(path)
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise FailureError(f"{path}: {error.strerror}") from None
    if size > bytes_max:
        raise FailureError(f"{path}: {size >> 20} MiB are more than the {bytes_max >> 20} MiB that are read")
    return size


def _ending(number: int, what: str) -> str:
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return f"not {what}: reading it took too long or too much memory"
    return f"not {what}: reading it ended with {signal.Signals(number).name}"


def last_line(text: bytes) -> str:
    """The reason that a child gave last, of what it said on stderr."""
    lines = text.decode(errors="replace").split("\n")
    return one_line(next((line for line in reversed(lines) if line.strip()), "reading it failed"))
