"""`GET /fleet/...`: questions about many machines, out of the database that their servers ship to.

A fleet holds what programs of all users told, so it is for viewers who may see all.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from blackbox.model import fleet_endpoints as endpoints
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import Answer, AnswerOrCoroutine, Viewer
from blackbox.server.http.query import Query, in_order
from blackbox.server.http.request import Request
from blackbox.server.http.response import text, too_much_waits

if TYPE_CHECKING:
    from blackbox.fleet.questions.cover import FleetScope
    from blackbox.fleet.reader import FleetReader

DAY_SECONDS = 86_400.0
NO_FLEET = "this server asks no fleet: it runs without --fleet-read"
NOT_ALL = "the fleet is for those who may see what programs of all users told: ask with a token (--token-file)"


@handles(endpoints.FLEET_AT)
def at(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Everything at a time."""
    asked, limit = _asked(query), query.value(endpoints.FLEET_LIMIT)

    def question(reader: "FleetReader") -> Struct:
        from blackbox.fleet.questions.at import at

        return at(reader, asked, _scope(query), limit)

    return _answer(context, viewer, question)


@handles(endpoints.FLEET_TOP)
def top(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """The largest holders at a time."""
    asked, by, limit = _asked(query), query.value(endpoints.FLEET_BY), query.value(endpoints.FLEET_LIMIT)

    def question(reader: "FleetReader") -> Struct:
        from blackbox.fleet.questions.at import top

        return top(reader, asked, by, _scope(query), limit)

    return _answer(context, viewer, question)


@handles(endpoints.FLEET_WASTE)
def waste(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Memory held in vain."""
    (since, until), by = _range(query), query.value(endpoints.FLEET_BY)
    limit = query.value(endpoints.FLEET_LIMIT)

    def question(reader: "FleetReader") -> Struct:
        from blackbox.fleet.questions.waste import waste

        return waste(reader, since, until, by, _scope(query), limit)

    return _answer(context, viewer, question)


@handles(endpoints.FLEET_WHERE)
def where(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Lives of somebody's processes."""
    what, (since, until) = query.value(endpoints.FLEET_WHAT), _range(query)
    limit = query.value(endpoints.FLEET_LIMIT)

    def question(reader: "FleetReader") -> Struct:
        from blackbox.fleet.questions.lives import where

        return where(reader, what, since, until, _scope(query), limit)

    return _answer(context, viewer, question)


@handles(endpoints.FLEET_OOMS)
def ooms(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """Out-of-memories."""
    (since, until), limit = _range(query), query.value(endpoints.FLEET_LIMIT)

    def question(reader: "FleetReader") -> Struct:
        from blackbox.fleet.questions.lives import ooms

        return ooms(reader, since, until, _scope(query), limit)

    return _answer(context, viewer, question)


@handles(endpoints.FLEET_MACHINES)
def machines(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """All machines."""
    limit = query.value(endpoints.FLEET_LIMIT)

    def question(reader: "FleetReader") -> Struct:
        from blackbox.fleet.questions.cover import machines

        found = machines(reader, _scope(query))
        return structs.replace(found, machines=found.machines[:limit])

    return _answer(context, viewer, question)


def _answer(context: Context, viewer: Viewer, question: "Callable[[FleetReader], Struct]") -> AnswerOrCoroutine:
    pool = context.fleet_pool
    if pool is None:
        return text(404, NO_FLEET)
    if viewer.uid is not None:
        return text(403, NOT_ALL)

    async def answer() -> Answer:
        made = await pool.answer(question)
        return made if context.waiting.has_room(made.body) else too_much_waits()

    return answer()


def _scope(query: Query) -> "FleetScope":
    from blackbox.fleet.questions.cover import FleetScope

    return FleetScope(query.get(endpoints.FLEET_TENANT) or "", query.get(endpoints.FLEET_MACHINE) or "")


def _asked(query: Query) -> float:
    now = time.time()
    return _in_reach(query.time_or(endpoints.FLEET_TIME, now, now))


def _range(query: Query) -> tuple[float, float]:
    now = time.time()
    until = _in_reach(query.time_or(endpoints.FLEET_UNTIL, now, now))
    since = _in_reach(query.time_or(endpoints.FLEET_SINCE, now, until - DAY_SECONDS))
    return in_order(since, until)


def _in_reach(seconds: float) -> float:
    """Times of the database end in 2106, and begin in 1970: two days are kept for what is looked at around them."""
    return min(max(seconds, 2 * DAY_SECONDS), 2**32 - 2 * DAY_SECONDS)
