"""Answers kept by the bytes of their requests: none outlives the state of the server that it was made in."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.server.http.ready_answers import (
    ANSWER_BYTES_MAX,
    ANSWERS_MAX,
    REQUEST_BYTES_MAX,
    ReadyAnswer,
    ReadyAnswers,
    may_be_repeated,
)
from blackbox.server.http.response import Response, text

State = tuple[object, ...]
ASKED = ("/vram", 200)


def answer(state: State, request: bytes, asker: str) -> ReadyAnswer:
    """What a server in this state says: it tells all that it depends on."""
    return ReadyAnswer(f"{state} {request!r} {asker}".encode(), ASKED)


@given(
    st.lists(
        st.tuples(
            st.tuples(st.integers(0, 2), st.integers(0, 2)),
            st.sampled_from((b"GET /vram", b"GET /vram?gpu=0")),
            st.sampled_from(("one user", "another")),
            st.booleans(),
        )
    )
)
def test_what_is_found_is_what_would_be_made(asked: list[tuple[State, bytes, str, bool]]) -> None:
    ready = ReadyAnswers()
    for state, request, asker, keeps in asked:
        made = answer(state, request, asker)
        assert ready.find(state, request, asker) in (None, made)
        if keeps:
            ready.keep(state, request, asker, made)
            assert ready.find(state, request, asker) == made


def test_what_was_made_in_an_earlier_state_is_not_kept() -> None:
    ready = ReadyAnswers()
    ready.find(("before",), b"GET", "anybody")
    ready.find(("now",), b"GET", "anybody")
    ready.keep(("before",), b"GET", "anybody", answer(("before",), b"GET", "anybody"))
    assert ready.find(("now",), b"GET", "anybody") is None
    assert ready.find(("before",), b"GET", "anybody") is None


def test_neither_many_requests_nor_large_ones_fill_memory() -> None:
    ready = ReadyAnswers()
    ready.find((), b"", "anybody")
    for number in range(2 * ANSWERS_MAX):
        ready.keep((), b"%d" % number, "anybody", ReadyAnswer(b"", ASKED))
    kept = [number for number in range(2 * ANSWERS_MAX) if ready.find((), b"%d" % number, "anybody")]
    assert len(kept) == ANSWERS_MAX
    ready = ReadyAnswers()
    ready.find((), b"", "anybody")
    ready.keep((), b"x" * (REQUEST_BYTES_MAX + 1), "anybody", ReadyAnswer(b"", ASKED))
    ready.keep((), b"large", "anybody", ReadyAnswer(b"x" * (ANSWER_BYTES_MAX + 1), ASKED))
    assert ready.find((), b"x" * (REQUEST_BYTES_MAX + 1), "anybody") is None
    assert ready.find((), b"large", "anybody") is None


def test_sessions_and_whatever_depends_on_more_are_made_each_time() -> None:
    assert may_be_repeated(Response(200, is_repeatable=True), {b"host": b"localhost"})
    assert not may_be_repeated(Response(200, is_repeatable=True), {b"cookie": b"blackbox=1"})
    assert not may_be_repeated(text(200), {})
