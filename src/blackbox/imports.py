"""Imports of libraries without what they look for, can do without, and is not needed here."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType


class NoTls(ModuleType):
    """In the place of `ssl` for who takes classes and numbers out of it: nothing is of these classes, or raises one of
    them."""

    def __getattr__(self, name: str) -> object:
        return 0 if name.startswith("SSL_ERROR_") else type(name, (Exception,), {})


@contextmanager
def instead_of(name: str, stand_in: ModuleType | None) -> Generator[None, None, None]:
    """Whoever imports the module while this lasts gets the stand-in, or hears that it is not there (None); unless it
    has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in  # pyright: ignore[reportArgumentType] - None is what the import system looks for
    try:
        yield
    finally:
        del sys.modules[name]


def import_msgspec() -> None:
    """Imports msgspec without `typing_extensions`, and with it `inspect`: 2 MiB."""
    with instead_of("typing_extensions", None):
        import_module("msgspec")


def import_event_loop() -> None:
    """Imports asyncio and uvloop without OpenSSL: 5 MiB. Their connections can be plain ones only."""
    with instead_of("ssl", None):
        import_module("asyncio")
    with instead_of("ssl", NoTls("ssl")):
        import_module("uvloop")
