"""The arguments that name a recording, and the data directory they mean: this machine's unless one is given."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.cli.common.settings_options import add_config_flag
from blackbox.errors import FailureError

if TYPE_CHECKING:
    from blackbox.recorder import Recording

MEMORY_BYTES_MAX = 4 << 30
"""Address space, to read a recording or a dump: minutes of a machine with 100,000 blocks take a quarter of it."""
CPU_SECONDS_MAX = 300
"""Fifty times what such minutes take."""
RANGE_CPU_SECONDS_MAX = 3600
"""For a range of any length: a month of 8 GPUs with 32 processes each takes a quarter of it."""


def add_recording_flags(parser: ArgumentParser) -> None:
    """Adds the flags that name a data directory."""
    group = parser.add_argument_group("recording (default: this machine's, by the settings of 'serve')")
    group.add_argument("--data-dir", metavar="DIRECTORY", help="data directory, of a server that runs or of a copy")
    group.add_argument("--demo", action="store_const", const="true", help="what 'serve --demo' recorded")
    add_config_flag(parser)


def directory(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> Path:
    """The data directory that the arguments name. Raises `UsageError`; `FailureError` where it does not exist."""
    from blackbox.cli.common.settings_file import load_settings
    from blackbox.paths import data_directory

    settings = load_settings(arguments, environ)
    found = settings.data_dir or data_directory(environ)
    if settings.demo:
        from blackbox.recorder.storage.directory import DEMO_DIRECTORY

        found = found / DEMO_DIRECTORY
    try:
        present = found.is_dir()
        next(found.iterdir(), None) if present else None
    except OSError as error:
        raise FailureError(f"{found}: {error.strerror}") from None
    if not present:
        raise FailureError(f"{found}: no such directory; nothing was recorded there{_of_the_demo(found)}")
    return found


@contextmanager
def opened(directory: Path, cpu_seconds: int = CPU_SECONDS_MAX) -> Generator["Recording"]:
    """The recording there, which may come from anyone: this command, which ends with its answer, takes no more memory
    and time meanwhile. Raises `FailureError`."""
    from blackbox.recorder import Recording
    from blackbox.sources.isolation.reader import within_limits

    with within_limits(directory, MEMORY_BYTES_MAX, cpu_seconds):
        yield Recording(directory)


def nothing_then(recording: "Recording", where: Path) -> FailureError:
    """What to say where a range holds nothing: from when to when there is something. Raises `FailureError` where there
    is nothing at all."""
    from blackbox.model.times import local_text

    first, last = span(recording, where)
    return FailureError(
        f"{where}: no moment of that time can be read; the recording reaches from {local_text(first)} to "
        f"{local_text(last)}"
    )


def span(recording: "Recording", where: Path) -> tuple[float, float]:
    """First and last time recorded. Raises `FailureError` where nothing is."""
    found = recording.span()
    if found is None:
        hint = _of_the_demo(where) or "; 'blackbox serve' records"
        raise FailureError(f"{where}: nothing is recorded there{hint}")
    return found


def _of_the_demo(directory: Path) -> str:
    """A hint, where a demo recorded beside it."""
    from blackbox.recorder.storage.directory import DEMO_DIRECTORY

    demo = directory / DEMO_DIRECTORY
    return f"; what 'serve --demo' recorded is in {demo}: --demo" if demo.is_dir() else ""
