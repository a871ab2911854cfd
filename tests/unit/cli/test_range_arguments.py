"""A range of time is checked in one place, whichever command it is for."""

import pytest

from blackbox.cli import main
from blackbox.cli.common.range_arguments import in_order
from blackbox.errors import UsageError

RANGED = (
    ("history",),
    ("events",),
    ("export", "--demo"),
    ("report", "--demo"),
    ("dump", "--demo"),
    ("fleet", "where", "name", "--url", "http://localhost:1"),
    ("fleet", "ooms", "--url", "http://localhost:1"),
    ("fleet", "waste", "--url", "http://localhost:1"),
)


@pytest.mark.parametrize("command", RANGED, ids=lambda words: " ".join(words[:2]))
@pytest.mark.parametrize("flags", [("--from", "--to"), ("--since", "--until")])
def test_a_range_that_ends_before_it_begins_is_refused(
    command: tuple[str, ...], flags: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    since, until = flags
    assert main([*command, since, "2026-11-22 12:00", until, "2026-11-22 11:00"]) == 2
    said = capsys.readouterr().err
    assert "--from (2026-11-22 12:00:00" in said
    assert "must be before --to (2026-11-22 11:00:00" in said


def test_nothing_lies_between_a_time_and_itself() -> None:
    with pytest.raises(UsageError):
        in_order(1.0, 1.0)
    assert in_order(1.0, 2.0) == (1.0, 2.0)
