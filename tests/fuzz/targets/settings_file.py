"""The settings file: TOML."""

from argparse import Namespace
from collections.abc import Sequence

from blackbox.cli.common.settings_file import load_settings
from blackbox.cli.common.settings_options import all_options
from blackbox.errors import BlackboxError, UsageError
from tests.fuzz.files import as_file

ALLOWED = (UsageError,)
CANDIDATES = ("true", '"x"', "1", '"500ms"', '["x"]', "0.5", '"127.0.0.1:8000"')
"""Of which the first that an option accepts becomes its seed."""


def seeds() -> Sequence[bytes]:
    lines = [line for option in all_options() if (line := _accepted(option.key)) is not None]
    return [line.encode() for line in lines]


def run(data: bytes) -> None:
    with as_file(data) as path:
        load_settings(Namespace(config=str(path)), {})


def _accepted(key: str) -> str | None:
    for candidate in CANDIDATES:
        line = f"{key} = {candidate}\n"
        try:
            run(line.encode())
        except BlackboxError:
            continue
        return line
    return None
