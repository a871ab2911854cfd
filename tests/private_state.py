"""A user of the tests' own: neither tests nor their processes touch what the person who runs them has."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOL_VARIABLES = frozenset(("BLACKBOX_TORCH_PYTHON", "BLACKBOX_TORCH_INDEX", "BLACKBOX_VLLM_VENV"))
"""Say which interpreters the tests use; nothing under test reads them."""
SERVICE_VARIABLES = frozenset(
    f"{kind}_DIRECTORY" for kind in ("RUNTIME", "STATE", "CACHE", "LOGS", "CONFIGURATION", "CREDENTIALS")
) | frozenset(("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"))
"""What systemd hands to a service: tests that run in one must not use its directories."""
PLACES = {
    "HOME": "home",
    "XDG_STATE_HOME": "state",
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_RUNTIME_DIR": "run",
    "TMPDIR": "tmp",
}
"""Variable -> folder below the private one."""
PUBLIC_PREFIX = Path("/tmp/blackbox-test-")
"""Of folders that a test opens to other users of the machine, who cannot reach pytest's own."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING_EVENTS = frozenset(("os.mkdir", "os.remove", "os.rename", "sqlite3.connect"))
"""Audit events whose first argument is a path that is changed."""


def private(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a user who has nothing but `folder`, and no settings of Blackbox."""
    kept = {
        name: value
        for name, value in environ.items()
        if (not name.startswith("BLACKBOX_") or name in TOOL_VARIABLES) and name not in SERVICE_VARIABLES
    }
    home = Path(environ.get("HOME") or Path.home())
    tools = {  # caches and interpreters, which are no state: downloading them again would take minutes
        "XDG_CACHE_HOME": environ.get("XDG_CACHE_HOME") or str(home / ".cache"),
        "PYENV_ROOT": environ.get("PYENV_ROOT") or str(home / ".pyenv"),
    }
    return kept | tools | {name: str(folder / place) for name, place in PLACES.items()}


@contextmanager
def private_user(folder: Path) -> Iterator[None]:
    """This process, and every one it starts, is that user while the context lasts."""
    for place in PLACES.values():
        (folder / place).mkdir(mode=0o700)
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        wanted = private(before, folder)
        for name in before.keys() - wanted.keys():
            patch.delenv(name)
        for name, value in wanted.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", None)  # the standard library remembers the folder
        yield


class WriteGuard:
    """Notes each change that this process makes to a file outside the given folders."""

    def __init__(self, allowed: Sequence[Path]) -> None:
        self._allowed = tuple(str(path.resolve()) for path in allowed)
        self.violations: list[str] = []

    def install(self) -> None:
        """For the rest of the process: an audit hook cannot be removed."""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event in CHANGING_EVENTS:
            path = arguments[0]
        else:
            return
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str | os.PathLike):
            self._check(event, os.fspath(path))

    def _check(self, event: str, path: str) -> None:
        if not path or path.startswith((":memory:", "file:", *self._allowed)):
            return
        full = os.path.realpath(path)
        if full.startswith(self._allowed):
            return
        self.violations.append(f"{event} {full} in {os.environ.get('PYTEST_CURRENT_TEST', 'no test')}")
