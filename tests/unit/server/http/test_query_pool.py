"""Queries of the recording run beside the event loop, and reports beside the queries."""

import asyncio
import signal
import sys
import threading
from functools import partial
from typing import cast

import pytest

from blackbox.recorder import Recording
from blackbox.server.http.query_pool import AT_ONCE, REPORTS_WAITING_MAX, WAITING_MAX, QueryPool
from blackbox.server.http.response import Response, text
from tests.waiting import PATIENCE_SECONDS


def pool() -> QueryPool:
    return QueryPool(cast(Recording, None))


@pytest.mark.fault(63)
def test_row_63_reports_keep_nobody_from_the_recording() -> None:
    go_on = threading.Event()
    running = 0
    most = 0

    def slow() -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        assert go_on.wait(PATIENCE_SECONDS)
        running -= 1
        return text(200, "report")

    async def ask() -> None:
        queries = pool()
        reports = [asyncio.ensure_future(queries.report(slow)) for _ in range(REPORTS_WAITING_MAX + 10)]
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            asked = await asyncio.gather(*(queries.answer(lambda: text(200, "history")) for _ in range(WAITING_MAX)))
            assert [answer.status for answer in asked] == [200] * WAITING_MAX
            go_on.set()
            made = [answer.status for answer in await asyncio.gather(*reports)]
        assert made == [200] * REPORTS_WAITING_MAX + [503] * 10
        assert (await queries.report(slow)).status == 200, "there is room again"
        queries.close()

    asyncio.run(ask())
    assert most == 1


def test_a_closed_pool_waits_for_no_report_that_is_made() -> None:
    begun = threading.Event()

    def endless(queries: QueryPool) -> Response:
        begun.set()
        done = queries.run_child([sys.executable, "-c", "import time; time.sleep(3600)"], 3600, 1000)
        return text(503, str(done.returncode))

    async def ask(closed_first: bool) -> None:
        queries = pool()
        report = asyncio.ensure_future(queries.report(lambda: endless(queries)))
        assert await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        while not closed_first and queries._child is None:
            await asyncio.sleep(0.01)
        queries.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await report).body == f"{-signal.SIGKILL}".encode()

    for closed_first in (False, True):
        begun.clear()
        asyncio.run(ask(closed_first))


def test_too_many_queries_are_told_to_come_back() -> None:
    go_on = threading.Event()

    def slow() -> Response:
        assert go_on.wait(PATIENCE_SECONDS)
        return text(200, "history")

    async def ask() -> None:
        queries = pool()
        waiting = [asyncio.ensure_future(queries.answer(slow)) for _ in range(WAITING_MAX + 1)]
        await asyncio.sleep(0)
        go_on.set()
        statuses = [answer.status for answer in await asyncio.gather(*waiting)]
        assert statuses == [200] * WAITING_MAX + [503]
        queries.close()

    asyncio.run(ask())


def test_a_crowd_that_asks_the_same_is_given_one_answer_and_who_asks_otherwise_his_own() -> None:
    go_on, busy = threading.Event(), threading.Semaphore(0)
    made: list[object] = []

    def slow() -> Response:
        busy.release()
        assert go_on.wait(PATIENCE_SECONDS)
        return text(200, "slow")

    def making(question: object) -> Response:
        made.append(question)
        return text(200, repr(question))

    async def ask() -> None:
        queries = pool()
        keeping_busy = [asyncio.ensure_future(queries.answer(slow)) for _ in range(AT_ONCE)]
        for _ in range(AT_ONCE):
            assert await asyncio.to_thread(busy.acquire, timeout=PATIENCE_SECONDS)
        questions = [("history", None)] * 1000 + [("history", 7)] * 1000
        crowd = [asyncio.ensure_future(queries.answer(partial(making, one), one)) for one in questions]
        await asyncio.sleep(0)
        assert not made
        go_on.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = await asyncio.gather(*crowd)
            await asyncio.gather(*keeping_busy)
        assert [answer.body for answer in answers] == [repr(one).encode() for one in questions]
        assert sorted(map(repr, made)) == sorted(map(repr, set(questions)))
        queries.close()

    asyncio.run(ask())


def test_who_asks_once_the_answer_is_begun_gets_one_that_is_newer() -> None:
    begun, go_on = threading.Event(), threading.Event()
    recorded = ["old"]

    def read() -> Response:
        found = text(200, recorded[-1])
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return found

    async def ask() -> None:
        queries = pool()
        first = asyncio.ensure_future(queries.answer(read, "history"))
        assert await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        recorded.append("new")
        second = asyncio.ensure_future(queries.answer(read, "history"))
        await asyncio.sleep(0)
        go_on.set()
        assert [(await one).body for one in (first, second)] == [b"old", b"new"]
        queries.close()

    asyncio.run(ask())


def test_an_answer_that_fails_fails_for_all_who_wait_for_it_and_the_next_one_is_made_anew() -> None:
    go_on, busy = threading.Event(), threading.Semaphore(0)

    def slow() -> Response:
        busy.release()
        assert go_on.wait(PATIENCE_SECONDS)
        return text(200, "slow")

    def fault() -> Response:
        raise ValueError("no such time")

    async def ask() -> None:
        queries = pool()
        keeping_busy = [asyncio.ensure_future(queries.answer(slow)) for _ in range(AT_ONCE)]
        for _ in range(AT_ONCE):
            assert await asyncio.to_thread(busy.acquire, timeout=PATIENCE_SECONDS)
        crowd = [asyncio.ensure_future(queries.answer(fault, "at")) for _ in range(3)]
        await asyncio.sleep(0)
        crowd[0].cancel()  # who asked first leaves
        go_on.set()
        found = await asyncio.gather(*crowd, return_exceptions=True)
        assert [type(one) for one in found] == [asyncio.CancelledError, ValueError, ValueError]
        await asyncio.gather(*keeping_busy)
        assert (await queries.answer(lambda: text(200, "there"), "at")).status == 200
        queries.close()

    asyncio.run(ask())
