"""Every fault of the catalogue has a test that bears its number, and the page says which."""

import re
from pathlib import Path

from tests.fault_table import FAULTS, page, rows_tested

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"
REQUIRED = {*range(1, 43), *range(44, 72)}


def test_every_row_that_needs_no_hardware_has_a_test() -> None:
    assert set(FAULTS) == REQUIRED
    assert sorted(REQUIRED - rows_tested().keys()) == []


def test_a_test_bears_the_number_of_its_row() -> None:
    misnamed = [
        test
        for row, tests in rows_tested().items()
        for test in tests
        if not re.search(rf"::test_row_(\d+_and_)*0?{row}_", test)
    ]
    assert misnamed == []


def test_the_page_is_up_to_date() -> None:
    assert RELIABILITY.read_text() == page(), "out of date: python -m tests.fault_table > docs/reliability.md"
