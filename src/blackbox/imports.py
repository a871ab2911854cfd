"""Imports of libraries without what they look for, can do without, and is not needed here."""

import functools
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from types import FunctionType, GeneratorType, MethodType, ModuleType

CO_COROUTINE = 0x80
"""Flag of the code of an `async def`, as `inspect` has it."""


class NoTls(ModuleType):
    """In the place of `ssl` for who takes classes and numbers out of it: nothing is of these classes, or raises one of
    them."""

    def __getattr__(self, name: str) -> object:
        return 0 if name.startswith("SSL_ERROR_") else type(name, (Exception,), {})


class _NoMembers(type):
    """A class that has every name a member of an enumeration might have, and None of each."""

    def __getattr__(cls, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class NoValues(ModuleType):
    """In the place of a module for who takes classes out of it, to tell values by them: there are none of these."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _NoMembers(name, (), {})
        setattr(self, name, made)
        return made


class CoroutineFlags(ModuleType):
    """In the place of `inspect` for asyncio and uvloop, which ask it what is a coroutine's function or a generator. All
    else it takes from `inspect` itself."""

    @staticmethod
    def iscoroutinefunction(function: object) -> bool:
        while isinstance(function, (functools.partial, MethodType)):
            function = function.func if isinstance(function, functools.partial) else function.__func__
        return isinstance(function, FunctionType) and bool(function.__code__.co_flags & CO_COROUTINE)

    @staticmethod
    def isgenerator(thing: object) -> bool:
        return isinstance(thing, GeneratorType)

    def __getattr__(self, name: str) -> object:
        return getattr(import_module("inspect"), name)


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
    """Imports msgspec without `typing_extensions`, and with it `inspect`: 2 MiB; and without `decimal` and `uuid`, of
    whose values no message of ours has any: 0.5 and 0.3 MiB."""
    with (
        instead_of("typing_extensions", None),
        instead_of("decimal", NoValues("decimal")),
        instead_of("uuid", NoValues("uuid")),
    ):
        import_module("msgspec")


def import_for_child() -> None:
    """Imports msgspec without what makes schemas, too, and `pathlib` without `ipaddress`, which it has for the hosts of
    URLs: 0.4 MiB in a process that tells what a driver says."""
    with instead_of("msgspec.inspect", ModuleType("msgspec.inspect")):
        import_msgspec()
    with instead_of("ipaddress", NoValues("ipaddress")):
        import_module("pathlib")


def import_event_loop() -> None:
    """Imports asyncio and uvloop without OpenSSL, 5 MiB, and `inspect`, 2 MiB. Their connections can be plain ones
    only."""
    with instead_of("inspect", CoroutineFlags("inspect")):
        with instead_of("ssl", None):
            import_module("asyncio")
        with instead_of("ssl", NoTls("ssl")):
            import_module("uvloop")
