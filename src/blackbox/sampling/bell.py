"""How one thread wakes another."""

import threading
from contextlib import suppress


class Bell:
    """Rung by any thread, heard by the one that waits; rung again before it was heard, it is heard once. A bare lock,
    since an `Event` makes another one for each wait."""

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Ends the wait that is on, or the next one."""
        with suppress(RuntimeError):  # it has been rung already
            self._silence.release()

    def wait(self, seconds: float | None = None) -> None:
        """Returns when it was rung since the last wait, after `seconds` at the latest."""
        self._silence.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
