"""For a command that works on plain data until it ends: what such a one can do without."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

from blackbox.imports import import_msgspec


@contextmanager
def plain_work() -> Generator[None]:
    """Imports and works without the collector of cycles: plain data has none, and looking for some in all that is
    imported takes a tenth of what a file of 60 MB takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        import_msgspec()
        yield
    finally:
        if was_on:
            gc.enable()
