"""Queries of the recording run beside the event loop, and reports beside the queries."""

import asyncio
import signal
import sys
import threading
from typing import cast

import pytest

from blackbox.recorder import Recording
from blackbox.server.http.query_pool import REPORTS_WAITING_MAX, WAITING_MAX, QueryPool
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
