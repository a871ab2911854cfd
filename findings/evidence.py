"""What every finding does: packages of exact versions in a temporary folder, and a comparison that tells a change."""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

_PACKAGES = "FINDING_PACKAGES"
_SECONDS_MAX = 300
"""Of an installation, or of a finding."""


def with_packages(*pins: str, environ: Callable[[Path], Mapping[str, str]] = lambda _: {}) -> None:
    """Returns in a Python that sees these packages and no others; ends the one that called, with its exit code.

    `environ` makes further variables for it, and may put files into the temporary folder.
    """
    if _PACKAGES in os.environ:
        print(f"Python {platform.python_version()}, {', '.join(pins)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder, "packages")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--target", packages, *pins], check=True, timeout=_SECONDS_MAX)
        variables = {**os.environ, "PYTHONPATH": str(packages), _PACKAGES: folder, **environ(Path(folder))}
        # -S: nothing of this Python's own site-packages
        done = subprocess.run([sys.executable, "-S", *sys.argv], env=variables, check=False, timeout=_SECONDS_MAX)
    sys.exit(done.returncode)


class Evidence:
    """What was seen. `close` ends the program, with 1 where something differs from what the finding says."""

    def __init__(self) -> None:
        self._changed = 0

    def see(self, what: str, seen: object, as_found: object) -> None:
        """Prints one observation."""
        same = seen == as_found and type(seen) is type(as_found)
        self._changed += not same
        print(f"{'as found' if same else 'CHANGED '}  {what}: {seen!r}" + ("" if same else f" (was {as_found!r})"))

    def close(self) -> None:
        sys.exit(1 if self._changed else 0)


def outcome(work: Callable[[], object]) -> object:
    """What it returns, or the name of what it raises."""
    try:
        return work()
    except Exception as error:
        return type(error).__name__
