"""A course in words."""

import pytest

from blackbox.tui.course import course_words

GIB = 1 << 30


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "n/a yet"),
        ([None, 3.0, None], "n/a yet"),
        ([40.0, 40.5, None, 40.1], "flat"),
        ([20.0, 60.0, 20.0, 60.0, 21.0], "20-60 GiB"),
        ([10.0, 20.0, 30.0, 40.0], "no trend"),
    ],
)
def test_words(values: list[float | None], words: str) -> None:
    assert course_words([None if one is None else one * GIB for one in values], 80 * GIB) == words
