"""Which notices become messages: the first at once, repeats together, and never more than a person reads."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.outputs.notify.folding import (
    FOLD_SECONDS,
    MESSAGES_MAX,
    MESSAGES_OF_USER_MAX,
    SUBJECTS_MAX,
    Folding,
)
from blackbox.outputs.notify.notice import Notice, Subject


def notice(program: str = "train.py", uid: int | None = None, sentence: str = "it failed") -> Notice:
    return Notice(Subject("oom", "GPU-0", program), 0.0, sentence, uid)


def test_the_first_goes_out_and_repeats_are_told_at_the_end() -> None:
    folding = Folding(0.0)
    assert folding.offer(notice(), 0.0) == notice()
    assert [folding.offer(notice(sentence=f"again {n}"), 1.0 + n) for n in range(3)] == [None] * 3
    assert folding.due(FOLD_SECONDS - 1) == []
    assert folding.next_due() == FOLD_SECONDS
    (told,) = folding.due(FOLD_SECONDS)
    assert told.sentence == "3 times of late; the last: again 2"
    assert folding.due(2 * FOLD_SECONDS) == []
    assert folding.next_due() is None
    assert folding.offer(notice(), 2 * FOLD_SECONDS) == notice()
    assert folding.folded_total == 3


def test_the_crash_loop_of_one_user_leaves_room_for_others() -> None:
    folding = Folding(0.0)
    sent = [folding.offer(notice(f"loop{n}", uid=1000), 0.0) for n in range(50)]
    assert len([one for one in sent if one is not None]) == MESSAGES_OF_USER_MAX
    assert folding.offer(notice("other", uid=1001), 0.0) is not None


@given(
    st.lists(
        st.tuples(st.floats(0, 120), st.integers(0, 300), st.sampled_from([None, *range(3)])), min_size=1, max_size=400
    )
)
def test_every_notice_is_told_or_counted_and_messages_are_few(steps: list[tuple[float, int, int | None]]) -> None:
    now, told, messages = 0.0, 0, 0
    folding = Folding(now)
    for pause, program, uid in steps:
        now += pause
        if folding.offer(notice(str(program), uid), now) is not None:
            told, messages = told + 1, messages + 1
        messages += len(folding.due(now))
        assert len(folding._folds) <= SUBJECTS_MAX
    assert told + folding.folded_total == len(steps)
    assert messages <= MESSAGES_MAX * (1 + now / FOLD_SECONDS) + 1
