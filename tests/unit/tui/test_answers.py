"""Of each kind of question the newest alone counts."""

import asyncio

from blackbox.client import StatusError, UnreachableError
from blackbox.tui.answers import Asked, reason_of


def test_a_question_is_asked_once_and_a_new_one_replaces_it() -> None:
    async def ask_both() -> None:
        asked: Asked[str] = Asked()
        never, count, changes = asyncio.Event(), 0, 0

        async def old() -> str:
            await never.wait()
            return "old"

        async def new() -> str:
            nonlocal count
            count += 1
            return "new"

        def on_change() -> None:
            nonlocal changes
            changes += 1

        asked.want("a", old, on_change)
        asked.want("b", new, on_change)
        for _ in range(3):
            await asyncio.sleep(0)
            asked.want("b", new, on_change)
        assert asked.of("b") == "new"
        assert asked.of("a") is None
        assert (count, changes) == (1, 1)

    asyncio.run(ask_both())


def test_why_there_is_no_answer_is_kept() -> None:
    async def ask() -> None:
        asked: Asked[str] = Asked()

        async def fail() -> str:
            raise StatusError("http://x answered 404: nothing was recorded then", 404)

        asked.want("a", fail, lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (asked.key, asked.value, asked.error) == ("a", None, "nothing was recorded then")

    asyncio.run(ask())


def test_a_reason_is_the_servers_own_where_it_gave_one() -> None:
    assert reason_of(UnreachableError("no answer from http://x: refused")) == "no answer from http://x: refused"
    assert reason_of(StatusError("http://x answered 503: ", 503)) == "http://x answered 503: "
