"""What programs tell from inside, through the agent: allocators, blocks, threads, kernels, engines, and their OOMs."""

from pathlib import Path

from blackbox.model.facts import Fact
from blackbox.sources.base import SourceOption, SourceSpec

AGENT_SOCKET: SourceOption[Path | None] = SourceOption(
    "agent_socket", "path", None, "Unix socket where agents report (default: found by both)", "PATH"
)
NO_AGENTS = SourceOption("no_agents", "switch", False, "listen to no agents")
SOCKET: Fact[str] = Fact("socket", "Path of the Unix socket where agents report.")

SPEC = SourceSpec(
    "agents",
    "blackbox.sources.agents.source:make",
    isolation="thread",
    default=True,
    switch=NO_AGENTS,
    options=(AGENT_SOCKET, NO_AGENTS),
    facts=(SOCKET,),
)
