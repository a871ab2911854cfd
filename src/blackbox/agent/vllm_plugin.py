"""vLLM's plugin entry point: it calls `register` in the API server, in every engine and in every worker."""

from __future__ import annotations


def register() -> None:
    """Attaches the agent, unless `BLACKBOX_AGENT` forbids it. May be called again."""
    from blackbox.agent import attach

    attach()
