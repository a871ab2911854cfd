"""What programs tell from inside, through the agent: allocators, blocks, threads, kernels, engines, and their OOMs."""

import os

from blackbox.pidfile import runtime_directory
from blackbox.settings import Settings
from blackbox.sources.agents.source import AgentSource
from blackbox.wire.address import NAME

OWN_USER, ALL_USERS = 0o600, 0o666
"""Permissions of the socket."""


def make(settings: Settings) -> AgentSource:
    """The source at the place that the settings name, or where agents look by themselves."""
    for_all = os.geteuid() == 0 or "RUNTIME_DIRECTORY" in os.environ
    return AgentSource(settings.agent_socket or runtime_directory() / NAME, ALL_USERS if for_all else OWN_USER)
