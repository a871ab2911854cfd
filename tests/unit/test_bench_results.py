"""The page of results is what the kept results make, all of them."""

from benchmarks.__main__ import ON_THE_PAGE
from benchmarks.report import TABLE, load, render


def test_the_page_is_made_of_the_results() -> None:
    assert TABLE.read_text() == render(load(), ON_THE_PAGE), "written by hand, or by a part of the benchmarks"


def test_every_result_stands_on_the_page() -> None:
    assert load().keys() <= {benchmark.name for benchmark in ON_THE_PAGE}
