"""Answers that are kept are those that would be given."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.recorder.query.answer_cache import ANSWERS_MAX, AnswerCache

LARGE = 7
STATES = st.one_of(st.none(), st.integers(0, 2))


@given(st.lists(st.tuples(st.integers(0, 2 * ANSWERS_MAX), STATES, st.booleans())))
def test_an_answer_is_of_the_state_it_is_asked_in(asked: list[tuple[int, int | None, bool]]) -> None:
    """The state may change while the answer is made; what it depended on was of either."""
    cache: AnswerCache[tuple[int, object]] = AnswerCache(lambda answer: answer[0] != LARGE)
    unknown = 0
    for question, state, moves in asked:
        states = iter((state, "another" if moves else state))
        if state is None:  # it may be another one each time
            unknown += 1
        content = (state, unknown) if state is None else state

        def work(of: tuple[int, object] = (question, content)) -> tuple[int, object]:
            return of

        assert cache.answer(question, lambda found=states: next(found), work) == (question, content)
        assert len(cache) <= ANSWERS_MAX


def test_the_same_question_is_answered_once() -> None:
    cache: AnswerCache[object] = AnswerCache(lambda _: True)
    first = cache.answer("question", lambda: 1, object)
    assert cache.answer("question", lambda: 1, object) is first
    assert cache.answer("question", lambda: 2, object) is not first
    assert cache.answer("large", lambda: 1, object) is not first
