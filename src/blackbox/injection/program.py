"""What the kernel shows of a running program: read only, nothing in it is touched."""

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from blackbox.model.text import printable

FRAMEWORKS = {
    "PyTorch": re.compile(r"/libtorch[\w]*[.]so"),
    "JAX": re.compile(r"/jaxlib/[^ ]*[.]so"),
    "CuPy": re.compile(r"/cupy/[^ ]*[.]so"),
    "RMM": re.compile(r"/librmm[.]so|/rmm/[^ ]*[.]so"),
}
"""The frameworks that the agent knows, and the libraries by which a program shows that it has loaded one."""
OWN_PROBES = "own probes"
"""Stands for the frameworks that a program's environment names probes for (`BLACKBOX_AGENT_PROBES`)."""

ENDED_STATES = "ZX"
"""Of a program that is over, and that its parent has not asked for yet."""

_VERSION = re.compile(r"(?:libpython|/python)(3)[.](\d+)(t?)(?:[.]so[\w.]*)?$|[.]cpython-(3)(\d+)(t?)-[^/]*[.]so$")
_INTERPRETER = re.compile(r"/[.]?python[\d.]*t?(-wrapped)?$")
"""Others have Python within: a program frozen into one file, `uwsgi`, or the loader that was given an interpreter."""
_START_TICKS = 19
"""Field of the stat file, counted from behind the name."""
_ELF_MACHINE = slice(18, 20)
_NAMESPACES = ("mnt", "pid", "user")


class Ids(NamedTuple):
    """Who a program runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Program(NamedTuple):
    """A program, as it was at one moment."""

    pid: int
    start_ticks: int
    """When it started, in the kernel's ticks since boot: with `pid` it names one program for good."""
    name: str
    """Its script where the command line names one, else the name that the kernel shows."""
    ids: Ids
    age_seconds: float
    state: str
    """One letter, as in `/proc/PID/stat`: R, S, D, T (stopped), t (traced), Z (ended)."""
    tracer_pid: int
    """Of the debugger attached to it; 0 for none."""
    executable: str
    """Path of the interpreter."""
    replaced: bool
    """Another file has its path by now, or none."""
    machine: bytes
    """Architecture of the interpreter, as its ELF header says; empty where that cannot be read."""
    version: tuple[int, int] | None
    """Of Python; None for a program that shows none."""
    is_free_threaded: bool
    frameworks: tuple[str, ...]
    """Names of `FRAMEWORKS` that it has loaded."""
    c_library: str
    """`glibc`, `musl`, or empty for a program that is linked statically."""
    environment: Mapping[str, str]
    arguments: tuple[str, ...]
    namespaces: tuple[str, ...]
    """Kinds of namespace (`mnt`, `pid`, `user`, `root`) that are not those of this process."""
    forbidden: str
    """Why the kernel would not let this process write to it; empty where it would."""


def look(pid: int, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> Program:
    """The program with this pid.

    `clock` tells the seconds since boot. Raises `ProcessLookupError` where there is none, `PermissionError` where the
    kernel shows it to others only.
    """
    folder = proc / str(pid)
    try:
        stat = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        status = _fields((folder / "status").read_text(errors="replace"))
        arguments = _strings(folder / "cmdline")
        maps = _mapped_files(folder / "maps")
        executable = _executable(folder / "exe")
        environment = {name: value for name, _, value in (pair.partition("=") for pair in _strings(folder / "environ"))}
        namespaces = () if stat[0] in ENDED_STATES else _foreign_namespaces(folder, proc / "self")
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    start_ticks = int(stat[_START_TICKS])
    version, is_free_threaded = _version((executable.removesuffix(" (deleted)"), *maps))
    return Program(
        pid=pid,
        start_ticks=start_ticks,
        name=_name(arguments, status.get("Name", "?")),
        ids=Ids(
            int(status["Uid"].split()[1]),
            int(status["Gid"].split()[1]),
            tuple(map(int, status.get("Groups", "").split())),
        ),
        age_seconds=max(0.0, clock() - start_ticks / os.sysconf("SC_CLK_TCK")),
        state=stat[0],
        tracer_pid=int(status.get("TracerPid", "0")),
        executable=executable.removesuffix(" (deleted)"),
        replaced=not _same_file(folder / "exe", executable),
        machine=_machine(folder / "exe"),
        version=version,
        is_free_threaded=is_free_threaded,
        frameworks=_frameworks(maps, environment),
        c_library=_c_library(maps),
        environment=environment,
        arguments=arguments,
        namespaces=namespaces,
        forbidden=_why_forbidden(folder / "mem", proc),
    )


def _executable(link: Path) -> str:
    """Empty for one that has ended, and for the kernel's own threads. Raises `FileNotFoundError` where it is gone."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        link.parent.stat()
        return ""


def _why_forbidden(memory: Path, proc: Path) -> str:
    """To open a program's memory takes the right to debug it, for reading, too; nothing is read."""
    try:
        memory.open("rb").close()
    except FileNotFoundError:
        return ""  # it has ended
    except OSError as error:
        scope = proc / "sys" / "kernel" / "yama" / "ptrace_scope"
        try:
            return f"{error.strerror} (kernel.yama.ptrace_scope is {scope.read_text().strip()})"
        except OSError:
            return error.strerror or "the kernel does not say why"
    return ""


def is_interpreter(program: Program) -> bool:
    """Whether its executable, started anew, would be Python and not the program a second time."""
    return bool(_INTERPRETER.search(program.executable))


def own_machine() -> bytes:
    """Architecture of this process, as `Program.machine` tells it."""
    return _machine(Path("/proc/self/exe"))


def _fields(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _strings(path: Path) -> tuple[str, ...]:
    return tuple(part.decode(errors="replace") for part in path.read_bytes().split(b"\0") if part)


def _mapped_files(path: Path) -> tuple[str, ...]:
    columns = (line.split(maxsplit=5) for line in path.read_text(errors="replace").splitlines())
    return tuple(dict.fromkeys(row[5].strip() for row in columns if len(row) == 6 and row[5].startswith("/")))


def _name(arguments: tuple[str, ...], command: str) -> str:
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if before == "-m" or argument.endswith(".py"):
            return printable(argument.rpartition("/")[2])
    return printable(command)


def _same_file(of_program: Path, path: str) -> bool:
    try:
        return os.path.samestat(of_program.stat(), os.stat(path))  # noqa: PTH116 - a path as the kernel writes it
    except OSError:
        return False


def _machine(executable: Path) -> bytes:
    try:
        with executable.open("rb") as file:
            return file.read(20)[_ELF_MACHINE]
    except OSError:
        return b""


def _version(files: tuple[str, ...]) -> tuple[tuple[int, int] | None, bool]:
    """Of Python, and whether that is free-threaded."""
    for file in files:
        if found := _VERSION.search(file):
            major, minor, threads = (group for group in found.groups() if group is not None)
            return (int(major), int(minor)), bool(threads)
    return None, False


def _frameworks(maps: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    found = [name for name, pattern in FRAMEWORKS.items() if any(map(pattern.search, maps))]
    return (*found, OWN_PROBES) if environment.get("BLACKBOX_AGENT_PROBES") else tuple(found)


def _c_library(maps: tuple[str, ...]) -> str:
    if any("/ld-musl-" in path for path in maps):
        return "musl"
    return "glibc" if any("/libc.so" in path or "/libc-" in path for path in maps) else ""


def _foreign_namespaces(folder: Path, own: Path) -> tuple[str, ...]:
    def differs(place: str) -> bool:
        return not os.path.samestat((folder / place).stat(), (own / place).stat())

    kinds = [kind for kind in _NAMESPACES if differs(f"ns/{kind}")]
    return (*kinds, "root") if differs("root") else tuple(kinds)
