"""Numbers in words."""

import pytest

from blackbox.model.text import duration, rate, signed, size, who

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (size(0), "0 B"),
        (size(1023), "1023 B"),
        (size(-1.5 * MIB), "-1.5 MiB"),
        (size(80 * GIB), "80.0 GiB"),
        (size(5000 * 1024**4), "5000.0 TiB"),
        (signed(GIB), "+1.0 GiB"),
        (signed(-GIB), "-1.0 GiB"),
        (signed(0), "0 B"),
        (duration(45), "45 s"),
        (duration(600), "10 min"),
        (duration(3 * 3600), "3.0 h"),
        (duration(3 * 86_400), "3.0 days"),
        (rate(2 * MIB), "2.0 MiB/s"),
        (rate(MIB / 30), "2.0 MiB/min"),
        (rate(MIB / 1800), "2.0 MiB/h"),
        (rate(KIB / 86_400), "1.0 KiB/day"),
        (who("python", 7), "python (pid 7)"),
        (who(None, 7), "pid 7"),
    ],
)
def test_words(found: str, expected: str) -> None:
    assert found == expected
