"""The server's log: lines on standard error."""

import logging
import sys

from blackbox.model.text import printable


def log_to_stderr(level: str) -> None:
    """From now on, what is of this level or above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class OneLine(logging.Formatter):
    """Nothing that a message quotes begins a line of the log, or changes the terminal that shows it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return printable(super().formatMessage(record))
