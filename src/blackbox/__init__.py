"""Blackbox: the flight recorder for GPU memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blackbox.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    """The clients, imported when first asked for: parts of this package also run inside other people's programs."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import blackbox.client

    return getattr(blackbox.client, name)
