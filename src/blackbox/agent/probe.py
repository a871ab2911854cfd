"""What a probe is: the eyes of the agent in one framework."""

from __future__ import annotations

from types import ModuleType
from typing import Protocol

from blackbox.wire.report import Oom, Report


class Desk(Protocol):
    """What the agent offers its probes. Nothing here raises."""

    @property
    def extras(self) -> frozenset[str]:
        """What the user asked for beyond the default (`BLACKBOX_AGENT_EXTRAS`): `threads`, `history`, `cupti`."""
        ...

    def awake(self) -> None:
        """Sees to it that the agent's thread runs in this process, which it does not after a fork.

        Costs a comparison; for hooks that run in the program anyway.
        """
        ...

    def spent(self, seconds: float) -> None:
        """Adds the CPU time that a hook took on one of the program's threads to the agent's cost."""
        ...

    def rest(self) -> None:
        """Lets the program run Python where the agent's thread has kept it from that for a while; see `Turns`.

        For the agent's thread, between pieces of a long work that needs no moment of its own. Elsewhere does nothing.
        """
        ...

    def out_of_memory(self, oom: Oom) -> None:
        """Sends at once, and waits until the daemon has it, but no longer than a second: the program may be dying.

        A daemon that did not take one in time is spared the next ones for a while.
        """
        ...


class Probe(Protocol):
    """Eyes in one framework."""

    source: str
    """Name of its reports; one probe of a name per process."""

    def report(self, full: bool) -> Report | None:
        """What is there now; None while there is nothing to say. Called on the agent's thread.

        With `full`, everything; without, counters only, which must cost little. It must neither initialise a device nor
        wait for one. An exception counts as a failed report and is told to the daemon by number only.
        """
        ...


class Make(Protocol):
    """The one function of a probe's module."""

    def __call__(self, module: ModuleType, desk: Desk) -> Probe | None:
        """Called once for every watched module, right after its import, on the importing thread.

        Returns a probe, or None where it only places hooks for one that was made before.
        """
        ...
