"""docs/limits.md says what limits are in force, as the code has them."""

from pathlib import Path

import pytest

from blackbox.server.http.limits import Limits
from tests.limits_page import limits, page
from tests.pages import DOCS


def test_the_page_is_up_to_date() -> None:
    assert (DOCS / "limits.md").read_text() == page(), "out of date: ./run pages"


@pytest.mark.parametrize("name", Limits.__struct_fields__)
def test_every_limit_of_a_client_is_told(name: str) -> None:
    assert f"| `limits.{name}` |" in page()


def test_a_constant_counts_where_it_is_a_number_with_a_reason(tmp_path: Path) -> None:
    module = tmp_path / "doors.py"
    module.write_text(
        'DOORS_MAX = 2 * 1024\n"""A house has\n fewer."""\n'
        'OPEN_SECONDS: float = 1.5\n"""Flies | come * in."""\n'
        'NAMELESS_MAX = 3\nNOT_A_LIMIT = 4\n"""No."""\nCOMPUTED_MAX = len("x")\n"""No."""\n'
    )
    assert [tuple(limit) for limit in limits(module)] == [
        ("doors", "DOORS_MAX", 2048, "A house has fewer."),
        ("doors", "OPEN_SECONDS", 1.5, "Flies | come * in."),
    ]
