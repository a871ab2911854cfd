"""The agent: runs inside the programs that hold the memory, and tells the daemon what is in it.

Standard library and `blackbox.wire` only, Python 3.9 and newer. It never prints, raises into the program, waits for the
daemon, or opens a GPU.
"""

from __future__ import annotations


def attach() -> None:
    """Puts the agent into this program, if `BLACKBOX_AGENT` does not forbid it; again: does nothing. Never raises.

    Frameworks already imported are looked into from now on, others when they are imported.
    """
    from blackbox.agent import bootstrap

    bootstrap.attach()
