"""Files that hold secrets: nobody else may read them, nor have put them there."""

import os
import stat
from pathlib import Path

from blackbox.errors import FailureError

FILE_BYTES_MAX = 64 * 1024
"""A secret is a line; a device given by mistake would never end."""


def private_lines(file: Path) -> list[str]:
    """Its lines, without empty ones and remarks, which begin with #. Raises `FailureError` where it cannot be read, or
    others can read it."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise FailureError(f"cannot read {file}: {error.strerror}") from None
    try:
        _check_private(file, os.fstat(handle))
        text = os.read(handle, FILE_BYTES_MAX + 1).decode()
    except UnicodeDecodeError:
        raise FailureError(f"{file} is not text") from None
    finally:
        os.close(handle)
    if len(text) > FILE_BYTES_MAX:
        raise FailureError(f"{file} is larger than {FILE_BYTES_MAX} bytes")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _check_private(file: Path, status: os.stat_result) -> None:
    """Raises `FailureError`."""
    if not stat.S_ISREG(status.st_mode):
        raise FailureError(f"{file} is no plain file")
    if status.st_uid not in (0, os.geteuid()):
        raise FailureError(f"{file} belongs to another user, who could have you send anywhere")
    # systemd gives a service its secrets as files of root that the service's user may read by an access list
    shared = 0o037 if status.st_uid == 0 and os.geteuid() != 0 else 0o077
    if status.st_mode & shared:
        raise FailureError(f"{file} holds secrets and others may use it: chmod 600 {file}")
