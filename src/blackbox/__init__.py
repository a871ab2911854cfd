"""Blackbox: the flight recorder for GPU memory."""

TYPE_CHECKING = False  # `typing` takes 5 ms to import, in every Python under `blackbox run`
if TYPE_CHECKING:
    from blackbox.agent import attach, detach
    from blackbox.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "attach", "detach"]


def __getattr__(name: str) -> object:
    """What is imported when first asked for only: parts of this package also run inside other people's programs."""
    if name in ("attach", "detach"):
        import blackbox.agent

        return getattr(blackbox.agent, name)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import blackbox.client

    return getattr(blackbox.client, name)


def __dir__() -> list[str]:
    """What is there, also what has not been asked for yet."""
    return sorted({*globals(), *__all__})
