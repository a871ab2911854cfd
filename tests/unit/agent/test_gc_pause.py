"""The collector of the test's own process, held off and put back."""

import gc
from collections.abc import Iterator

import pytest

from blackbox.agent import gc_pause as garbage
from blackbox.agent.gc_pause import HELD, held_off

PROGRAMS = (500, 7, 3)


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*PROGRAMS)
    yield
    gc.set_threshold(*before)


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def test_many_objects_set_off_no_collection_and_leave_none_behind() -> None:
    gc.collect()
    with held_off():
        before = collections()
        made = [[] for _ in range(50_000)]
        assert collections() == before
        del made
    assert gc.get_threshold() == PROGRAMS
    assert gc.get_count()[0] < 1_000


def test_without_it_they_would() -> None:
    before = collections()
    made = [[] for _ in range(50_000)]
    assert collections() > before
    del made


def test_an_exception_puts_it_back() -> None:
    with pytest.raises(ZeroDivisionError), held_off():
        raise ZeroDivisionError
    assert gc.get_threshold() == PROGRAMS


def test_what_the_program_sets_meanwhile_stands() -> None:
    with held_off():
        gc.set_threshold(111, 1, 1)
    assert gc.get_threshold() == (111, 1, 1)


def test_a_program_that_has_it_switched_off_is_left_alone() -> None:
    gc.set_threshold(0, 7, 3)
    with held_off():
        assert gc.get_threshold()[0] == 0
    gc.disable()
    try:
        with held_off():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_the_program_saved_of_ours_and_sets_again_is_undone_at_the_next_time() -> None:
    with held_off():
        saved = gc.get_threshold()
    gc.set_threshold(*saved)
    assert gc.get_threshold()[0] == HELD
    with held_off():
        pass
    assert gc.get_threshold() == PROGRAMS


def test_a_child_that_was_forked_meanwhile_puts_it_back() -> None:
    with held_off():
        assert gc.get_threshold()[0] == HELD
        garbage.put_back()
        assert gc.get_threshold() == PROGRAMS
