"""Results are found again by the identity of what they were made from, within a bound."""

from blackbox.merge.identity_cache import IdentityCache


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
