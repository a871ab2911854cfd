"""What a client can meet.

ClientError
├── UnreachableError   nobody answered, or not in time
├── StatusError        the server answered, with something other than 200
└── AnswerError        the answer is not what a Blackbox server says
"""

import os
import re

from blackbox.errors import FailureError

_SEVERAL = re.compile(r"Multiple exceptions: \[Errno ([0-9]{1,3})\]")
"""Of a name with several addresses, none of which answers."""


class ClientError(FailureError):
    """Base of all errors of the clients."""


class UnreachableError(ClientError):
    """No connection, no answer in time, or cut off in the middle of it."""


class StatusError(ClientError):
    """The server refused or failed."""

    def __init__(self, message: str, status: int, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        """What the server asked for with its `Retry-After`; None when it did not."""


class AnswerError(ClientError):
    """Something else listens there, or a version too far from this one."""


def unreachable(label: str, error: OSError) -> UnreachableError:
    """What the system said about a connection to the server called `label`, without its numbers."""
    return UnreachableError(f"no answer from {label}: {_plain(error)}")


def _plain(error: OSError) -> str:
    """As the system says it: `asyncio` puts addresses and tuples in its place."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    text = error.strerror or str(error) or type(error).__name__
    several = _SEVERAL.match(text)
    return os.strerror(int(several[1])) if several else text
