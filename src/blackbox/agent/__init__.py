"""The agent: runs inside the programs that hold the memory, and reports to the daemon what is in it.

Standard library and `blackbox.wire` only, Python 3.9 and newer. It never prints, raises into the program, waits for the
daemon, or opens a GPU.
"""


def attach(socket: str = "") -> None:
    """Starts the agent in this program, unless `BLACKBOX_AGENT` forbids it. Never raises; a second call does nothing.

    It reports on frameworks already imported from now on, and on others once they are imported. `socket` is where the
    server listens for agents, where this program's own environment does not say it; a connection that stands stays.
    """
    from blackbox.agent import bootstrap

    bootstrap.attach(socket)


def detach() -> None:
    """Ends the agent while the program goes on: no thread, no connection, nothing reported. Never raises.

    What frameworks cannot give back (observers, hooks at a fork) stays and does nothing. `attach` wakes the agent.
    """
    from blackbox.agent import bootstrap

    bootstrap.detach()
