"""Where passwords are checked: a thread of its own, so that a flood of wrong ones holds up passwords alone."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from blackbox.server.auth import credentials
from blackbox.server.http.offload import off_loop

NICENESS = 10
"""Of the thread: bcrypt takes a core for 50 ms or more, and whatever else wants the core is to have it first."""


class PasswordLane:
    """Checks one password at a time; a bounded number waits. Called on the event loop."""

    def __init__(self, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "blackbox-passwords", initializer=_step_back)

    async def check(self, users: dict[str, str], user: str, password: bytes) -> bool | None:
        """Whether the password is the user's; None, at once, where too many are waiting."""
        if self._waiting >= self._waiting_max:
            return None
        self._waiting += 1
        try:
            return await off_loop(self._thread, credentials.verify, users, user, password)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Drops the checks that wait, and makes no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    """Lowers the priority of this thread alone, as Linux does when it is named by its own id."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
