"""The `ncu` of this machine: where it is, and which version."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from blackbox.sources.isolation.outputs import TooMuchWrittenError, outputs_of

ATTACHES_SINCE = (2026, 2, 1)
"""`--mode attach` with `--process-id`: before, ncu profiled only what it had started."""
VERSION_SECONDS_MAX = 10
"""It takes a tenth of a second; from a slow disk, some."""
VERSION_BYTES_MAX = 1 << 20
"""It takes a few lines."""
_VERSION = re.compile(r"^Version (\d{4}(?:\.\d{1,4}){1,3})", re.MULTILINE)


class NcuProgram(NamedTuple):
    path: str
    version: str | None
    """None where it does not tell one."""

    @property
    def can_attach(self) -> bool:
        """To a program that runs already."""
        return self.version is not None and tuple(map(int, self.version.split("."))) >= ATTACHES_SINCE


def find_ncu(environ: Mapping[str, str]) -> NcuProgram | None:
    """The one on `PATH`; None without one."""
    path = shutil.which("ncu", path=environ.get("PATH"))
    return None if path is None else NcuProgram(path, _version(path, environ))


def _version(path: str, environ: Mapping[str, str]) -> str | None:
    pipe, environment = subprocess.PIPE, {**environ, "LC_ALL": "C"}
    try:
        with subprocess.Popen(
            [path, "--version"], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
        ) as child:
            written, _ = outputs_of(child, VERSION_BYTES_MAX, VERSION_SECONDS_MAX)
    except (OSError, subprocess.TimeoutExpired, TooMuchWrittenError):
        return None
    match = _VERSION.search(written.decode(errors="replace"))
    return match[1] if match else None
