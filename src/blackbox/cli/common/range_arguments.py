"""The arguments that choose a range of time: its ends, or how many minutes."""

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
        return in_order(end - self.seconds if self.since is None else self.since, end)


def add_end_flags(parser: ArgumentParser, since: str, until: str, of: str = "") -> None:
    """Adds `--from` and `--to`, with what each says; `of` is put before it. The flags' older names stay."""
    parser.add_argument("--from", "--since", dest="since", metavar="TIME", help=f"{of}{since}")
    parser.add_argument("--to", "--until", dest="until", metavar="TIME", help=f"{of}{until}")


def add_range_flags(parser: ArgumentParser, of: str = "") -> None:
    """Adds `--from`, `--to` and `--minutes`; `of` is put before what each says."""
    add_end_flags(parser, "not before", "not after", of)
    parser.add_argument("--minutes", metavar="N", help=f"{of}how many minutes, where --from is not given ({MINUTES})")


def told_ends(arguments: Namespace) -> tuple[float | None, float | None]:
    """The ends that were named, in Unix seconds. Raises `UsageError`, also where nothing lies between both."""
    since, until = (
        None if text is None else parsers.named(flag, parsers.time_seconds, text)
        for flag, text in (("--from", arguments.since), ("--to", arguments.until))
    )
    if since is not None and until is not None:
        in_order(since, until)
    return since, until


def chosen_range(arguments: Namespace) -> ChosenRange:
    """What the flags say. Raises `UsageError`."""
    if arguments.since is not None and arguments.minutes is not None:
        raise UsageError("--from and --minutes both say where the range begins: one of them is enough")
    since, until = told_ends(arguments)
    minutes = parsers.named("--minutes", parsers.count, arguments.minutes or MINUTES)
    return ChosenRange(since, until, minutes * SECONDS_PER_MINUTE)


def ends_or(arguments: Namespace, seconds: float) -> tuple[float, float]:
    """Both ends: by default now, and so many seconds before. Raises `UsageError`."""
    import time

    since, until = told_ends(arguments)
    now = time.time()
    return in_order(now - seconds if since is None else since, now if until is None else until)


def in_order(since: float, until: float) -> tuple[float, float]:
    """Both. Raises `UsageError` where nothing lies between."""
    if since >= until:
        from blackbox.model.times import local_text

        raise UsageError(f"--from ({local_text(since)}) must be before --to ({local_text(until)})")
    return since, until
