"""Answers about the recording, kept for whoever asks the same again: pages do, of an incident or of the past hour."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

ANSWERS_MAX = 16
"""Different questions whose answers are kept."""


class AnswerCache(Generic[T]):
    """Answers by their questions, in which is all that an answer depends on besides the recording: range, fineness,
    and who asks. One holds while the state of the recording is equal to that before and after the answer was made; None
    is a state that may change without becoming another one, of which nothing is kept.

    The oldest answer goes for a new one. Safe to use from several threads.
    """

    def __init__(self, is_small: Callable[[T], bool]) -> None:
        """`is_small`: whether an answer may be kept."""
        self._is_small = is_small
        self._answers: dict[Hashable, tuple[Hashable, T]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, question: Hashable, state: Callable[[], Hashable | None], work: Callable[[], T]) -> T:
        """The answer to the question, which `work` makes."""
        before = state()
        known = self._answers.get(question)
        if known is not None and before is not None and known[0] == before:
            return known[1]
        answer = work()
        if before is not None and self._is_small(answer) and state() == before:
            with self._lock:
                self._answers.pop(question, None)
                self._answers[question] = before, answer
                if len(self._answers) > ANSWERS_MAX:
                    del self._answers[next(iter(self._answers))]
        return answer
