"""What a probe is: the part of the agent that looks into one framework."""

from __future__ import annotations

from types import ModuleType
from typing import Protocol

from blackbox.wire.report import Oom, Report


class AgentContext(Protocol):
    """What the agent offers its probes. Nothing here raises."""

    @property
    def extras(self) -> frozenset[str]:
        """What the user asked for beyond the default (`BLACKBOX_AGENT_EXTRAS`): `threads`, `history`, `cupti`."""
        ...

    def ensure_thread(self) -> None:
        """Starts the agent's thread where it does not run in this process, as after a fork.

        Costs a comparison where it runs; for hooks that the program calls anyway.
        """
        ...

    def add_cost(self, seconds: float) -> None:
        """Adds the CPU time that a hook took on one of the program's threads to the agent's cost."""
        ...

    def yield_gil(self) -> None:
        """Lets the program run Python where the agent's thread has kept it from that for a while; see `GilYielder`.

        For the agent's thread, between pieces of long work that need not see one same moment. On other threads it does
        nothing.
        """
        ...

    def out_of_memory(self, oom: Oom) -> None:
        """Sends at once, and waits until the daemon has it, but no longer than a second: the program may be dying.

        After a daemon did not answer in time, the next reports are not sent for a while.
        """
        ...


class Probe(Protocol):
    """Looks into one framework."""

    source: str
    """Name of its reports; one probe of a name per process."""

    def report(self, full: bool) -> Report | None:
        """What is there now; None while there is nothing to say. Called on the agent's thread.

        With `full`, everything; without, counters only, which must cost little. It must neither initialise a device nor
        wait for one. An exception counts as a report that failed; the daemon learns how many did, not why.
        """
        ...


class ProbeFactory(Protocol):
    """The one function of a probe's module."""

    def __call__(self, module: ModuleType, context: AgentContext) -> Probe | None:
        """Called once for every watched module, right after its import, on the importing thread.

        Returns a probe, or None where it only places hooks for one that was made before.
        """
        ...
