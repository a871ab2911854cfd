"""Every page of docs/ that is made from code, and how. `python -m tests.pages` makes them all again."""

from collections.abc import Callable
from pathlib import Path

from blackbox.cli import reference as commands
from blackbox.model import reference as api
from blackbox.outputs.prometheus import reference as metrics
from tests import fault_table, limits_page

DOCS = Path(__file__).parents[1] / "docs"

COMMANDS = DOCS / "commands"

SINGLE: dict[str, Callable[[], str]] = {
    "api.md": api.page,
    "metrics.md": metrics.page,
    "reliability.md": fault_table.page,
    "limits.md": limits_page.page,
}


def main() -> None:
    for name, make in SINGLE.items():
        (DOCS / name).write_text(make())
    commands.main(COMMANDS)


if __name__ == "__main__":
    main()
