"""Which notices are sent at once, and which wait to be told as one. Pure: times are arguments.

The first of a subject goes out; what repeats it within `FOLD_SECONDS` is told in one message at the end of that time.
All subjects together get so many messages, the programs of one user half of them: no crash loop drowns what others do.
"""

from collections import OrderedDict
from dataclasses import dataclass

from blackbox.outputs.notify.notice import Notice, Subject, folded
from blackbox.sources.rate_limit import TokenBucket

FOLD_SECONDS = 600.0
"""People who were told act within minutes, or not at all."""
MESSAGES_MAX = 12
"""At once, and again every `FOLD_SECONDS`: as many as a person reads."""
MESSAGES_OF_USER_MAX = 6
"""Of these, about the programs of one user."""
SUBJECTS_MAX = 200
"""Subjects remembered; further ones are counted with the newest."""
USERS_MAX = 100
"""Users whose messages are counted; the one longest unheard of is forgotten."""
RETRY_SECONDS = 60.0
"""Until the end of a fold is tried again for which no message was left."""


@dataclass
class _Fold:
    due: float
    count: int
    """Notices since the last message."""
    last: Notice


class Folding:
    """Give it every notice; it says what to send. For one thread."""

    def __init__(self, now: float) -> None:
        self._folds: OrderedDict[Subject, _Fold] = OrderedDict()
        self._bucket = TokenBucket(MESSAGES_MAX, MESSAGES_MAX / FOLD_SECONDS, now)
        self._of_users: OrderedDict[int | None, TokenBucket] = OrderedDict()
        self.folded_total = 0
        """Notices that were not sent as a message of their own."""

    def offer(self, notice: Notice, now: float) -> Notice | None:
        """The notice if it is to be sent now; else it is kept for the end of its fold."""
        fold = self._folds.get(notice.subject)
        if fold is None and len(self._folds) >= SUBJECTS_MAX:
            fold = self._folds[next(reversed(self._folds))]
        if fold is not None:
            fold.count, fold.last = fold.count + 1, notice
            self.folded_total += 1
            return None
        sent = self._may_send(notice, now)
        self._folds[notice.subject] = _Fold(now + FOLD_SECONDS, 0 if sent else 1, notice)
        if sent:
            return notice
        self.folded_total += 1
        return None

    def due(self, now: float) -> list[Notice]:
        """What is to be told of folds that end by now."""
        found: list[Notice] = []
        for subject, fold in list(self._folds.items()):
            if fold.due > now:
                continue
            if not fold.count:
                del self._folds[subject]
            elif self._may_send(fold.last, now):
                found.append(folded(fold.last, fold.count))
                fold.count, fold.due = 0, now + FOLD_SECONDS
            else:
                fold.due = now + RETRY_SECONDS
        return found

    def next_due(self) -> float | None:
        """When `due` next has something to do; None while nothing is remembered."""
        return min((fold.due for fold in self._folds.values()), default=None)

    def _may_send(self, notice: Notice, now: float) -> bool:
        if notice.uid not in self._of_users:
            limit = MESSAGES_MAX if notice.uid is None else MESSAGES_OF_USER_MAX
            self._of_users[notice.uid] = TokenBucket(limit, limit / FOLD_SECONDS, now)
            if len(self._of_users) > USERS_MAX:
                self._of_users.popitem(last=False)
        self._of_users.move_to_end(notice.uid)
        return self._of_users[notice.uid].take(now) and self._bucket.take(now)
