"""A command that works on plain data does without the collector of cycles, and whoever called it has it back."""

import gc

import pytest

from blackbox.cli.common.plain_work import plain_work
from blackbox.errors import FailureError


def test_the_collector_rests_meanwhile() -> None:
    assert gc.isenabled()
    with plain_work():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_is_back_after_a_failure() -> None:
    with pytest.raises(FailureError), plain_work():
        raise FailureError("not read")
    assert gc.isenabled()
