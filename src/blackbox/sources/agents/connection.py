"""One agent: what arrives on its socket, and what its probes have reported so far."""

import contextlib
import socket
from collections.abc import Iterator

from blackbox.sources.agents.budgets import AGENT_FAILURES_BURST, AGENT_FAILURES_SECONDS, Usage
from blackbox.sources.agents.checks import RefusedReportError
from blackbox.sources.agents.decode import Message, OomMessage, ReportMessage, decode
from blackbox.sources.agents.known_gpus import KnownGpus
from blackbox.sources.agents.peer import Peer, check_hello
from blackbox.sources.agents.probe_state import ProbeState
from blackbox.sources.agents.refusals import Refusals
from blackbox.sources.agents.threads import ThreadIds
from blackbox.sources.proc.threads import Tasks
from blackbox.sources.rate_limit import TokenBucket
from blackbox.wire import MAX_PAYLOAD_BYTES, Frame, FrameKind, Unpacker, WireError
from blackbox.wire.message import HELLO_BYTES_MAX, pack_oom_received, pack_welcome
from blackbox.wire.report import Cost, Goodbye, Hello

RECEIVE_BYTES = 256 * 1024
"""At a time, so that no agent keeps the others waiting."""
READ_BYTES_PER_SECOND = 4 * 1024 * 1024
"""Of one agent: twice what 30,000 blocks at 2 Hz take."""
READ_BYTES_BURST = 16 * 1024 * 1024
FRAME_BYTES = 4096
"""A frame costs as much to take in as these many bytes of blocks, however short it is."""
PROBES_MAX = 16
"""Of one program: there are six that we know."""
HELLO_SECONDS_MAX = 5.0
"""Agents say who they are in the moment they connect."""


class AgentConnection:
    """Reads frames. Any error it raises means that the agent must be disconnected.

    A report that breaks a rule costs itself: it is counted in `refusals` and named in `refused`.
    """

    def __init__(
        self,
        connected: socket.socket,
        peer: Peer,
        tasks: Tasks,
        now: float,
        refusals: Refusals | None = None,
        gpus: KnownGpus | None = None,
    ) -> None:
        self.socket = connected
        self.refused: dict[str, str] = {}
        """Probe -> why its newest report was refused; at most `PROBES_MAX`."""
        self._refusals = refusals or Refusals()
        self._gpus = gpus or KnownGpus()
        self.failures = TokenBucket(AGENT_FAILURES_BURST, 1 / AGENT_FAILURES_SECONDS, now)
        """How many failed allocations it may still tell."""
        self.peer = peer
        self.ids = ThreadIds(peer, tasks)
        self.probes: dict[str, ProbeState] = {}
        """By name of the probe."""
        self.cost = Cost(0.0, 0, 0)
        self.goodbye: Goodbye | None = None
        """How the program said that it ends."""
        self.frames = 0
        self.bytes = 0
        self._connected_at = now
        self._greeted = False
        self._unpacker = Unpacker(HELLO_BYTES_MAX)
        self._reads = TokenBucket(READ_BYTES_BURST, READ_BYTES_PER_SECOND, now)

    @property
    def held_bytes(self) -> int:
        """Memory held for a frame that is not complete."""
        return self._unpacker.held_bytes

    @property
    def is_greeted(self) -> bool:
        """It has said who it is."""
        return self._greeted

    @property
    def usage(self) -> Usage:
        """What is held for it."""
        probes = self.probes.values()
        return Usage(
            self.held_bytes,
            sum(probe.rows for probe in probes),
            sum(probe.kept_bytes for probe in probes),
            sum(probe.parts for probe in probes),
        )

    def drop_blocks(self, reason: str) -> None:
        """Forgets the blocks of all its probes, for `reason`."""
        for probe in self.probes.values():
            probe.drop_blocks(reason)

    def drop_reports(self, error: RefusedReportError, now: float) -> None:
        """Forgets all that it told."""
        self.probes.clear()
        self.refuse(error, now)

    def due_in(self, now: float) -> float:
        """Seconds until it may be read again."""
        return self._reads.due_in(now)

    def is_silent(self, now: float) -> bool:
        """Whether it should have said who it is."""
        return not self._greeted and now - self._connected_at > HELLO_SECONDS_MAX

    def receive(self, now: float) -> Iterator[OomMessage]:
        """Takes in what has arrived, and gives out failed allocations.

        Raises `EOFError` where the agent has closed, `WireError` or `RefusedError` where it broke a rule, `OSError`.
        """
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise EOFError
        self.bytes += len(data)
        self._reads.charge(len(data), now)
        for frame in self._unpacker.feed(data):
            self.frames += 1
            self._reads.charge(FRAME_BYTES, now)
            message = self._decoded(frame, now)
            if isinstance(message, OomMessage) and self._greeted:
                with contextlib.suppress(BlockingIOError):  # an agent that does not listen does without
                    self.socket.send(pack_oom_received(), socket.MSG_NOSIGNAL)
                yield message
            elif message is not None:
                self._take_in(message, now)

    def _decoded(self, frame: Frame, now: float) -> Message | None:
        """The message; None where it is refused and the connection may stay."""
        try:
            return decode(frame)
        except RefusedReportError as error:
            if not self._greeted or frame.kind not in (FrameKind.REPORT, FrameKind.OOM):
                raise
            self.refuse(error, now)
            return None

    def refuse(self, error: RefusedReportError, now: float) -> None:
        """Counts and names a report that is not taken."""
        source = error.source or "a probe"
        self._refusals.note(error.reason, f"agent {self.peer.pid}: {source}: {error}", now, self.peer.uid)
        if error.source is not None and (error.source in self.refused or len(self.refused) < PROBES_MAX):
            self.refused[error.source] = str(error)

    def _take_in(self, message: Message, now: float) -> None:
        if isinstance(message, Hello):
            if self._greeted:
                raise WireError("a second hello")
            check_hello(self.peer, message)
            self._greeted = True
            with contextlib.suppress(BlockingIOError):  # an agent that does not listen is told nothing more
                self.socket.send(pack_welcome(), socket.MSG_NOSIGNAL)
            self._unpacker.payload_bytes_max = MAX_PAYLOAD_BYTES
        elif not self._greeted:
            raise WireError("no hello")
        elif isinstance(message, ReportMessage):
            try:
                self._take_report(message, now)
            except RefusedReportError as error:
                self.refuse(error, now)
        elif isinstance(message, Goodbye):
            self.goodbye = message
            raise EOFError

    def _take_report(self, message: ReportMessage, now: float) -> None:
        self.cost = message.cost
        message, unknown = self._gpus.only_known(message)
        if unknown:
            text = f"agent {self.peer.pid}: {message.report.source}: no driver lists {unknown[0]}"
            self._refusals.note("unknown_gpu", text, now, self.peer.uid, len(unknown))
        source = message.report.source
        if probe := self.probes.get(source):
            probe.update(message, now, self.ids)
        elif len(self.probes) < PROBES_MAX:
            self.probes[source] = ProbeState(message, now, self.ids)
        else:
            raise RefusedReportError(f"more than {PROBES_MAX} probes", source, "too_many_probes")
        self.refused.pop(source, None)
