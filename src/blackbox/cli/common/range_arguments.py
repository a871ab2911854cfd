"""The arguments that choose a range of a recording: its ends, or how many minutes."""

from argparse import ArgumentParser, Namespace
from typing import NamedTuple

from blackbox.cli.common import parsers
from blackbox.errors import UsageError

MINUTES = "10"
SECONDS_PER_MINUTE = 60.0


class ChosenRange(NamedTuple):
    """What was asked for, as far as it was."""

    since: float | None
    """Unix seconds; None where only the length is known."""
    until: float | None
    """Unix seconds; None where the caller knows the end."""
    seconds: float
    """The length, where `since` is not told."""

    @property
    def is_told(self) -> bool:
        """Whether an end of it was named."""
        return self.since is not None or self.until is not None

    def ends(self, until: float) -> tuple[float, float]:
        """Both ends, `until` being the later where none was named. Raises `UsageError` where nothing lies between."""
        end = until if self.until is None else self.until
        start = end - self.seconds if self.since is None else self.since
        if start >= end:
            raise UsageError("--from must be before --to")
        return start, end


def add_range_flags(parser: ArgumentParser, of: str = "") -> None:
    """Adds `--from`, `--to` and `--minutes`; `of` is put before what each says."""
    parser.add_argument("--from", dest="since", metavar="TIME", help=f"{of}not before")
    parser.add_argument("--to", dest="until", metavar="TIME", help=f"{of}not after")
    parser.add_argument("--minutes", metavar="N", help=f"{of}how many minutes, where --from is not given ({MINUTES})")


def chosen_range(arguments: Namespace) -> ChosenRange:
    """What the flags say. Raises `UsageError`."""
    if arguments.since is not None and arguments.minutes is not None:
        raise UsageError("--from and --minutes both say where the range begins: one of them is enough")
    since, until = (
        None if text is None else parsers.named(flag, parsers.time_seconds, text)
        for flag, text in (("--from", arguments.since), ("--to", arguments.until))
    )
    minutes = parsers.named("--minutes", parsers.count, arguments.minutes or MINUTES)
    return ChosenRange(since, until, minutes * SECONDS_PER_MINUTE)
