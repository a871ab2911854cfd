"""Questions about the recording, as paths; and their answers, as structs."""

from collections.abc import Collection
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from blackbox.client.errors import AnswerError
from blackbox.client.target import Target
from blackbox.model.view import BlockDetail

T = TypeVar("T")
Time = float | str | datetime
"""Unix seconds; ISO 8601 (UTC where it names no zone) or how long ago (`-15m`) as text; or a `datetime` (local where it
names no zone)."""


class Question:
    """A path and the parameters that were given."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._query: dict[str, str] = {}

    def time(self, name: str, value: Time | None) -> "Question":
        """Adds a time."""
        return self.text(name, str(value.timestamp()) if isinstance(value, datetime) else value)

    def text(self, name: str, value: object | None) -> "Question":
        """Adds a parameter; None leaves it out."""
        if value is not None:
            self._query[name] = str(value)
        return self

    def path(self, server: Target) -> str:
        """What to ask the server for."""
        return server.base_path + self.endpoint + ("?" + urlencode(self._query) if self._query else "")


def history(
    since: Time | None,
    until: Time | None,
    gpu: str | int | None,
    pid: int | None,
    metric: str | None,
    points: int | None,
) -> Question:
    """`GET /vram/history`."""
    question = Question("/vram/history").time("from", since).time("to", until)
    return question.text("gpu", gpu).text("pid", pid).text("metric", metric).text("points", points)


def at(time: Time, gpu: str | int | None, blocks: BlockDetail) -> Question:
    """`GET /vram/at`."""
    question = Question("/vram/at").time("t", time).text("gpu", gpu)
    return question if blocks == "full" else question.text("blocks", blocks)


def events(since: Time | None, until: Time | None, kind: str | Collection[str] | None, limit: int | None) -> Question:
    """`GET /vram/events`."""
    question = Question("/vram/events").time("since", since).time("until", until)
    return question.text("kind", _kinds(kind)).text("limit", limit)


def event_stream(kind: str | Collection[str] | None) -> Question:
    """`GET /vram/events/stream`."""
    return Question("/vram/events/stream").text("kind", _kinds(kind))


def _kinds(kind: str | Collection[str] | None) -> str | None:
    return kind if kind is None or isinstance(kind, str) else ",".join(sorted(kind))


def compare(a: Time, b: Time | None, gpu: str | int | None) -> Question:
    """`GET /vram/compare`."""
    return Question("/vram/compare").time("a", a).time("b", b).text("gpu", gpu)


def aggregated(
    window: str | None, until: Time | None, gpu: str | int | None, pid: int | None, metric: str | None
) -> Question:
    """`GET /vram/aggregated`."""
    question = Question("/vram/aggregated").text("window", window).time("to", until)
    return question.text("gpu", gpu).text("pid", pid).text("metric", metric)


def forecast() -> Question:
    """`GET /vram/forecast`."""
    return Question("/vram/forecast")


def answer(body: bytes, expected: type[T]) -> T:
    """The answer in `body`. Raises `AnswerError`."""
    try:
        return msgspec.json.decode(body, type=expected)
    except msgspec.DecodeError as error:
        raise AnswerError(f"the answer is not a {expected.__name__}: {error}") from None
