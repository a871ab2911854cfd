"""Threads for questions to a fleet's database, which may take seconds: a bounded number at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from msgspec import Struct

from blackbox.errors import FailureError
from blackbox.fleet.reader import FleetReader
from blackbox.fleet.send import access
from blackbox.server.http.offload import off_loop
from blackbox.server.http.response import JSON, Response, text, unavailable
from blackbox.settings import Settings

AT_ONCE = 2
"""Questions that run at the same time: each costs the database, which many servers may ask."""
WAITING_MAX = 16
"""Questions that run or wait; the next one is answered 503 with Retry-After."""
NO_STORE = (("Cache-Control", "no-store"),)


class FleetPool:
    """Asks on threads. Called on the event loop."""

    def __init__(self, settings: Settings) -> None:
        """For `settings.fleet_read`. Raises `UsageError`, `FailureError` where nobody could ask there."""
        self._access = access(
            settings.fleet_read or "",
            user=settings.fleet_read_user,
            password_file=settings.fleet_read_password_file,
            ca=settings.fleet_ca,
            database=settings.fleet_database,
        )
        FleetReader(self._access).close()  # certificates that cannot be read are an error now
        self._workers = ThreadPoolExecutor(AT_ONCE, "blackbox-fleet")
        self._waiting = 0

    async def answer(self, question: Callable[[FleetReader], Struct]) -> Response:
        """The answer to the question as JSON; 502 where the database has none, 503 where too many wait."""
        if self._waiting >= WAITING_MAX:
            return unavailable("too many questions about the fleet", retry_after_seconds=1)
        self._waiting += 1
        try:
            return await off_loop(self._workers, self._ask, question)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Drops the questions that wait, and runs no more."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _ask(self, question: Callable[[FleetReader], Struct]) -> Response:
        reader = FleetReader(self._access)
        try:
            return Response(200, msgspec.json.encode(question(reader)), JSON, NO_STORE)
        except FailureError as error:
            return text(502, str(error))
        finally:
            reader.close()
