"""Libraries that this process has loaded. Blackbox loads none of its own."""

from __future__ import annotations

import os

MAPS = "/proc/self/maps"


def path_of(name: str) -> str | None:
    """Where the library came from whose file begins with `name`, such as `libcupti.so`; None where it is not loaded."""
    try:
        with open(MAPS, encoding="utf-8", errors="replace") as maps:  # noqa: PTH123 - `pathlib` would be imported for it
            for line in maps:
                path = line.rstrip("\n").partition("/")[2]
                if os.path.basename(path).startswith(name):  # noqa: PTH119
                    return f"/{path}"
    except OSError:
        pass
    return None
