"""Request to answer: access, then the route, then its handler. Every error becomes an answer here."""

import logging
from collections.abc import Coroutine
from typing import Any

from blackbox.model.view import UnknownGpuError
from blackbox.server.api.context import Context
from blackbox.server.api.routes import ROUTES
from blackbox.server.auth.access import Access, Admission, Peer
from blackbox.server.http.answer import Answer, AnswerOrCoroutine, Streaming, Viewer
from blackbox.server.http.query import query_of
from blackbox.server.http.ready_answers import ReadyAnswers
from blackbox.server.http.request import HTTPError, Request
from blackbox.server.http.response import Fields, Response, text

METHODS = ("GET", "HEAD")
OTHER = "other"
"""Route under which everything outside the table is counted, so that clients cannot add names to the metrics."""

ANSWERS = (Response, Streaming)
ADMISSIONS = (Viewer, Response)

logger = logging.getLogger(__name__)


class App:
    """Answers requests; knows nothing of sockets."""

    def __init__(self, context: Context, access: Access) -> None:
        self.context = context
        self.access = access
        self._hub = context.hub
        self.ready = ReadyAnswers()
        """For requests that were answered before in the same `state`."""

    def state(self, date: str) -> tuple[object, ...]:
        """All that a repeatable answer with this `Date` line depends on besides the request and who asks."""
        return self._hub.latest, date, self.access.generation

    def answer(self, request: Request, peer: Peer) -> AnswerOrCoroutine:
        """The answer. Never raises, nor does the coroutine it may return."""
        try:
            answering = self._answer(request, peer)
        except Exception as error:
            return self._done(request, self._known(request, error))
        if isinstance(answering, ANSWERS):
            return self._done(request, answering)
        return self._later(request, answering)

    def refuse(self, error: HTTPError) -> Response:
        """The answer to bytes that are no valid request."""
        response = text(error.status, error.reason)
        self.context.stats.requests_total[OTHER, response.status] += 1
        return response

    def _answer(self, request: Request, peer: Peer) -> AnswerOrCoroutine:
        refusal = self.access.refusal(request)
        if refusal is not None:
            return refusal
        admission = self.access.admit(request, peer)
        if isinstance(admission, ADMISSIONS):
            return self._serve(request, admission)
        return self._once_admitted(request, admission)

    async def _once_admitted(self, request: Request, admitting: Coroutine[Any, Any, Admission]) -> Answer:
        answering = self._serve(request, await admitting)
        return answering if isinstance(answering, ANSWERS) else await answering

    def _serve(self, request: Request, admission: Admission) -> AnswerOrCoroutine:
        if not isinstance(admission, Viewer):
            return admission
        route = ROUTES.get(request.target.path)
        if route is None:
            return text(404)
        if request.method not in METHODS:
            return text(405, fields=(("Allow", ", ".join(METHODS)),))
        endpoint, handler = route
        return handler(self.context, request, admission, query_of(endpoint, request.target.query))

    async def _later(self, request: Request, answering: Coroutine[Any, Any, Answer]) -> Answer:
        try:
            answer = await answering
        except Exception as error:
            answer = self._known(request, error)
        return self._done(request, answer)

    def _known(self, request: Request, error: Exception) -> Response:
        """The answer to an error. An unexpected one is logged; the answer does not show it."""
        if isinstance(error, HTTPError):
            return text(error.status, error.reason)
        if isinstance(error, UnknownGpuError):
            return text(404, str(error))
        logger.error("%s %s failed", request.method, request.target.path, exc_info=error)
        self.context.stats.errors_total += 1
        return text(500)

    def _done(self, request: Request, answer: Answer) -> Answer:
        path = request.target.path
        status = answer.status if isinstance(answer, Response) else 200
        self.context.stats.requests_total[path if path in ROUTES else OTHER, status] += 1
        cors = self.access.cors_fields(request)
        return answer._replace(fields=_joined(answer.fields, cors)) if cors else answer


def _joined(fields: Fields, more: Fields) -> Fields:
    """All fields; `Vary` once, with the names of both."""
    vary = [value for name, value in (*fields, *more) if name == "Vary"]
    rest = tuple(field for field in (*fields, *more) if field[0] != "Vary")
    return (*rest, ("Vary", ", ".join(vary))) if vary else rest
