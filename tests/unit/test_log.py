"""What a log line quotes stays within that line."""

import logging

import pytest

from blackbox.log import OneLine


@pytest.mark.fault(65)
def test_row_65_nothing_that_is_quoted_begins_a_line_of_the_log() -> None:
    record = logging.LogRecord("blackbox", logging.WARNING, "", 0, "%s was refused", ("a\n2026 ERROR\x1b[2J",), None)
    assert OneLine("%(levelname)s %(message)s").format(record) == "WARNING a?2026 ERROR?[2J was refused"


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        told = (type(error), error, error.__traceback__)
    record = logging.LogRecord("blackbox", logging.ERROR, "", 0, "fault", (), told)
    assert OneLine("%(message)s").format(record).splitlines()[-1] == "ValueError: why"
