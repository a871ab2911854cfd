"""Have the servers of this user reacquire the GPU driver, after 'blackbox release'."""

import signal
from argparse import ArgumentParser, Namespace

from blackbox.cli.commands.release import add_port_flag, tell_servers


def configure(parser: ArgumentParser) -> None:
    """Which servers."""
    add_port_flag(parser)


def run(arguments: Namespace) -> int:
    """Signals them."""
    tell_servers(arguments.port, signal.SIGUSR2, "reacquire the GPU driver")
    return 0
