"""What a target of the fuzzer is: one module of `tests/fuzz/targets`, found by its name."""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol, cast

from tests.fuzz import targets

PACKAGE = targets.__name__


class Target(Protocol):
    """Reads bytes as some part of Blackbox does."""

    ALLOWED: tuple[type[Exception], ...]
    """How it refuses them; anything else that it raises is a finding."""

    def seeds(self) -> Sequence[bytes]:
        """Good inputs, as our own writers make them."""
        ...

    def run(self, data: bytes) -> None:
        """Reads it. Raises one of `ALLOWED`, or nothing."""
        ...


def names() -> list[str]:
    """All targets."""
    return sorted(module.name for module in pkgutil.iter_modules(targets.__path__))


def load(name: str) -> Target:
    """The target: one of `names`, or a module by its whole name."""
    return cast(Target, importlib.import_module(name if "." in name else f"{PACKAGE}.{name}"))
