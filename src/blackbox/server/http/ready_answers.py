"""Answers that are asked for again and again, kept as bytes: pollers send the same request each time."""

from collections.abc import Hashable
from typing import NamedTuple

from blackbox.server.http.response import Response

ANSWERS_MAX = 64
"""Different requests whose answers are kept: one for each way to ask. Whoever comes later is answered as usual."""
REQUEST_BYTES_MAX = 2048
"""Of a request that is remembered: browsers with all their fields send about one kilobyte."""
ANSWER_BYTES_MAX = 64 * 1024
"""Of an answer that is kept, 4 MiB in all: making a head costs nothing beside sending more than this."""


class ReadyAnswer(NamedTuple):
    """An answer to one request."""

    data: bytes
    """Head and body."""
    counted_as: tuple[str, int]
    """Route and status."""


class ReadyAnswers:
    """Answers by the bytes of the whole request and who sent it.

    They hold for one state of the server, which is all that an answer depends on besides its request: the newest
    moment, the date, and what `Access` goes by. In another state all are forgotten, and what was made in an earlier
    one is not kept.
    """

    def __init__(self) -> None:
        self._state: tuple[object, ...] = ()
        self._answers: dict[tuple[bytes, Hashable], ReadyAnswer] = {}

    def find(self, state: tuple[object, ...], request: bytes, asker: Hashable) -> ReadyAnswer | None:
        """The answer to this request in this state; None where it is to be made."""
        if state != self._state:
            self._state = state
            self._answers.clear()
            return None
        return self._answers.get((request, asker))

    def keep(self, state: tuple[object, ...], request: bytes, asker: Hashable, answer: ReadyAnswer) -> None:
        """Keeps an answer that was made since `find` was asked in that state."""
        if (
            state == self._state
            and len(self._answers) < ANSWERS_MAX
            and len(request) <= REQUEST_BYTES_MAX
            and len(answer.data) <= ANSWER_BYTES_MAX
        ):
            self._answers[request, asker] = answer


def may_be_repeated(response: Response, headers: dict[bytes, bytes]) -> bool:
    """Whether the same request gets the same answer. A session ends with time, so one that has a cookie may not."""
    return response.is_repeatable and b"cookie" not in headers
