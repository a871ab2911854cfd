"""Results are found again by the identity of what they were made from, within a bound."""

import gc
import weakref

from blackbox.merge.identity_cache import UNUSED_SECONDS_MAX, IdentityCache


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> list[int]:
        self.made += 1
        return [self.made] * 10


def test_the_same_objects_give_the_same_result() -> None:
    kept, make, report = IdentityCache[list[int]](100), Maker(), (1, 2, 3)
    assert kept.get((7,), (report,), make) is kept.get((7,), (report,), make)
    assert make.made == 1


def test_equal_objects_or_other_values_give_another() -> None:
    kept, make = IdentityCache[list[int]](100), Maker()
    one, other = [1000], [1000]
    results = [kept.get((7,), (one,), make), kept.get((7,), (other,), make), kept.get((8,), (one,), make)]
    assert [result[0] for result in results] == [1, 2, 3]


def test_an_object_that_took_the_place_of_another_in_memory_is_not_taken_for_it() -> None:
    kept, make = IdentityCache[list[int]](10_000), Maker()
    assert len({kept.get((), ([number],), make)[0] for number in range(100)}) == 100


def test_the_least_used_is_forgotten_first() -> None:
    kept, make = IdentityCache[list[int]](20), Maker()
    first, second, third = [1], [2], [3]
    kept.get((), (first,), make)
    kept.get((), (second,), make)
    kept.get((), (first,), make)
    kept.get((), (third,), make)
    assert make.made == 3
    kept.get((), (first,), make)
    assert make.made == 3
    kept.get((), (second,), make)
    assert make.made == 4


def test_a_result_above_the_bound_is_kept_alone() -> None:
    kept, make, large = IdentityCache[list[int]](5), Maker(), [1]
    assert kept.get((), (large,), make) is kept.get((), (large,), make)


class Report(list[int]):
    """A list that can be referred to weakly."""


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_old_reports_go_though_few_rows_were_made_of_them() -> None:
    time = Time()
    kept = IdentityCache[list[int]](100_000, time)
    reports: list[weakref.ref[Report]] = []
    for _ in range(100):
        time.now += UNUSED_SECONDS_MAX / 4
        report = Report(range(1000))
        reports.append(weakref.ref(report))
        kept.get((), (report,), lambda: [1])
        kept.get((), (report,), lambda: [1])
        del report
    gc.collect()
    assert sum(one() is not None for one in reports) <= 5


def test_what_a_short_result_keeps_alive_counts() -> None:
    kept, make = IdentityCache[list[int]](1000), Maker()
    reports = [list(range(400)) for _ in range(4)]
    for report in reports:
        kept.get((), (report,), make)
    for report in reports[-2:]:
        kept.get((), (report,), make)
    assert make.made == 4
    kept.get((), (reports[0],), make)
    assert make.made == 5


def test_a_report_in_use_stays_however_long() -> None:
    time = Time()
    kept, make, report = IdentityCache[list[int]](100, time), Maker(), [1, 2, 3]
    for _ in range(100):
        time.now += UNUSED_SECONDS_MAX / 2
        kept.get((), (report,), make)
        kept.get((), ([time.now],), make)
    assert make.made == 101


def test_of_many_values_those_that_are_not_kept_are_made_at_once() -> None:
    kept, asked = IdentityCache[list[int]](100), list[list[int]]()

    def make(values: list[int]) -> list[list[int]]:
        def at(places: list[int]) -> list[list[int]]:
            asked.append([values[place] for place in places])
            return [[values[place]] for place in places]

        return kept.get_all(values, at)

    first = make([1, 2, 3])
    assert first == [[1], [2], [3]]
    second = make([3, 4, 1, 5, 4])
    assert second == [[3], [4], [1], [5], [4]]
    assert second[0] is first[2]
    assert second[2] is first[0]
    assert make([5, 4]) == [[5], [4]]
    assert [set(values) for values in asked] == [{1, 2, 3}, {4, 5}]
    assert kept.get((2,), (), lambda: [0]) is first[1]


def test_many_values_are_kept_within_the_bound() -> None:
    kept, asked = IdentityCache[list[int]](10), list[int]()

    def make(places: list[int]) -> list[list[int]]:
        asked.append(len(places))
        return [[place] for place in places]

    assert len(kept.get_all(range(30), make)) == 30
    kept.get_all(range(20, 30), make)
    kept.get_all(range(10), make)
    assert asked == [30, 10]
