"""Have the servers of this user take up the GPU driver again, after 'blackbox release'."""

import signal
from argparse import ArgumentParser, Namespace

from blackbox.cli.commands.release import add_port_flag, tell_servers


def configure(parser: ArgumentParser) -> None:
    """Which servers."""
    add_port_flag(parser)


def run(arguments: Namespace) -> int:
    """Tells them."""
    tell_servers(arguments.port, signal.SIGUSR2, "take up the GPU driver again")
    return 0
