"""How one thread wakes another."""

import threading
from contextlib import suppress


class AutoResetEvent:
    """Set by any thread, awaited by one, whose wait clears it. A bare lock, since an `Event` makes another one for each
    wait."""

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Ends the wait that is on, or the next one."""
        with suppress(RuntimeError):  # it is set already
            self._unset.release()

    def wait(self, seconds: float | None = None) -> None:
        """Returns when it was set since the last wait, after `seconds` at the latest."""
        self._unset.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
