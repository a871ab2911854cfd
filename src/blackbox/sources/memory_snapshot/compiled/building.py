"""Compiles the C of this folder with the machine's own compiler. Needs nothing of Blackbox: `hatch_build.py` loads it
alone."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / name for name in ("entries.c", "columns.c", "numbers.c", "bands.c", "upgrade.c"))
HEADERS = tuple(FOLDER / name for name in ("values.h", "map.h"))
VARIABLE = "BLACKBOX_COMPILED"
"""`0`: neither compiled where it is installed, nor used where it is."""
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-fstack-protector-strong")
SECONDS_MAX = 120
"""Takes half a second on an idle machine."""


class CompilerError(Exception):
    """It cannot be compiled: one line saying why."""


def is_wanted() -> bool:
    """False where the user wants Python alone."""
    return os.environ.get(VARIABLE, "").strip() != "0"


def library_name() -> str:
    """What the library of these sources is called: one of others is not taken for it."""
    return f"snapshot-{zlib.crc32(b''.join(source.read_bytes() for source in (*SOURCES, *HEADERS))):08x}.so"


def compile_library(folder: Path = FOLDER, flags: Sequence[str] = ()) -> Path:
    """The library, compiled into `folder`; none that is half written is ever there. Raises `CompilerError`."""
    import shutil  # not for whoever only asks for the name: a tenth of what starting a reader takes
    import subprocess

    named = os.environ.get("CC")
    compiler = shutil.which(named) if named else next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise CompilerError(f"there is no compiler {named!r}" if named else "there is no C compiler")
    target = folder / library_name()
    unfinished = folder / f"{target.name}.{os.getpid()}"
    command = [compiler, *FLAGS, *flags, "-o", str(unfinished), *map(str, SOURCES)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise CompilerError(f"{compiler}: {said[0] if said else f'exit code {done.returncode}'}")
        unfinished.replace(target)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompilerError(f"{compiler}: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return target
