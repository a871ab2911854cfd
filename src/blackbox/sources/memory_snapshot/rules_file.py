"""Rules of the user's own, out of their file."""

from pathlib import Path

from blackbox.analysis.rules import FILE_BYTES_MAX, CategoryRules, RulesError, parse_rules
from blackbox.errors import UsageError


def read_rules(path: Path) -> CategoryRules:
    """Raises `UsageError`."""
    try:
        with path.open("rb") as file:
            return parse_rules(file.read(FILE_BYTES_MAX + 1))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except RulesError as error:
        raise UsageError(f"{path}: {error}") from None
