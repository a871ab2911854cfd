"""What the driver's error numbers mean, in words."""

import pytest

from blackbox.sources.nvml.events import describe_xid


@pytest.mark.parametrize("code", [48, 57, 58, 63, 64, 92, 94, 95, 140, 121, 160, 161, 168, 171, 172])
def test_the_xids_of_memory_speak_of_memory(code: int) -> None:
    assert describe_xid(code).startswith(f"Xid {code}: ")
    assert any(word in describe_xid(code) for word in ("memory", "caches"))


@pytest.mark.parametrize("code", [154, 156, 157])
def test_the_xids_that_say_what_is_to_be_done_have_words(code: int) -> None:
    assert ": " in describe_xid(code)


def test_a_number_without_words_stands_alone() -> None:
    assert describe_xid(9999) == "Xid 9999"
