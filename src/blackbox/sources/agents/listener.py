"""The server that agents connect to, in one thread. A fault of one agent costs its own connection only."""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable

from blackbox.model.sample import ProcessExit
from blackbox.sources.agents.budgets import FAILURE_BYTES_MAX, Usage, UserBudgets, of_largest_user
from blackbox.sources.agents.checks import RefusedReportError
from blackbox.sources.agents.connection import FRAME_BYTES, AgentConnection
from blackbox.sources.agents.decode import OomMessage
from blackbox.sources.agents.exits import exit_of
from blackbox.sources.agents.known_gpus import KnownGpus
from blackbox.sources.agents.peer import RefusedError, identify, still_there
from blackbox.sources.agents.refusals import RefusalReason, Refusals
from blackbox.sources.agents.waiting_failures import ReceivedOom, WaitingFailures
from blackbox.sources.proc.processes import Procfs
from blackbox.sources.proc.threads import Tasks
from blackbox.sources.rate_limit import TokenBucket
from blackbox.wire import WireError

AGENTS_MAX = 1000
"""As many processes as a machine is expected to run on its GPUs. Where there are more, one of the user who has most
goes for one of a user who has fewer."""
LIMITS = Usage(held_bytes=32 * 1024 * 1024, rows=400_000, kept_bytes=64 * 1024 * 1024, parts=4_000)
"""Of all agents together: 30 large frames at once; blocks of about 100 MB; 64 KiB, and two probes
on two GPUs, for each of 1,000 agents. So much is looked at in every sample, and no more."""
READ_BYTES_PER_SECOND = 16 * 1024 * 1024
"""Of all agents together: 1,000 agents at 2 Hz take half of it, and 10 % of a core."""
READ_BYTES_BURST = 64 * 1024 * 1024
ACCEPTS_MAX = 32
"""Connections accepted before those already open are read again."""
EXITS_MAX = 64
EXITS_SECONDS = 60.0
"""How many exits are remembered, and for how long: the driver's list of processes may be read as rarely."""
LOOK_SECONDS = 1.0
"""Between looks for agents that send nothing."""
FULL_SECONDS = 0.1
"""Until accepting is tried again, when this process may open no more files."""
LOG_BURST, LOG_SECONDS = 20, 5.0
"""Lines about agents cut off: so many at once, then one in so many seconds."""

HELD_BYTES, ROWS, PARTS = map(Usage._fields.index, ("held_bytes", "rows", "parts"))

log = logging.getLogger(__name__)


class AgentServer:
    """Serves agents from its construction until `close`. The lock guards all that connections hold."""

    def __init__(
        self,
        listening: socket.socket,
        procfs: Procfs,
        tasks: Tasks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.Lock()
        self.connections: dict[int, AgentConnection] = {}
        """By pid."""
        self.cut_off = 0
        """Connections closed because their agent broke a rule, or refused."""
        self.refusals = Refusals()
        self.frames_gone = 0
        self.bytes_gone = 0
        """Of connections that ended."""
        self.gpus = KnownGpus()
        self._usage = Usage()
        """Of all connections."""
        self._users = UserBudgets()
        self._failures = WaitingFailures(self.refusals)
        self._process_exits: list[ProcessExit] = []
        self._listening = listening
        self._procfs = procfs
        self._tasks = tasks
        self._clock = clock
        self._reads = TokenBucket(READ_BYTES_BURST, READ_BYTES_PER_SECOND, clock())
        self._log_lines = TokenBucket(LOG_BURST, 1 / LOG_SECONDS, clock())
        self._look_at = self._drop_silent_at = clock()
        self._paused: dict[AgentConnection, float] = {}
        """Connections over their rate, and when they are read again."""
        self._waker, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """No program is connected, and none has ended lately. Any thread may ask."""
        return not self.connections and not self._process_exits

    def close(self) -> None:
        """Ends all connections."""
        self._closing = True
        self._waker.send(b"\0")
        self._thread.join()
        for connection in tuple(self.connections.values()):
            self._end(connection)
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def take_ooms(self) -> list[ReceivedOom]:
        """Failed allocations since the last call. Hold the lock."""
        return self._failures.take()

    def process_exits(self) -> tuple[ProcessExit, ...]:
        """The programs that ended in the last `EXITS_SECONDS`. Hold the lock."""
        oldest = time.time() - EXITS_SECONDS
        self._process_exits = [process_exit for process_exit in self._process_exits if process_exit.timestamp >= oldest]
        return tuple(self._process_exits)

    def drop_gone(self) -> None:
        """Ends the connections of processes that have ended, though somebody still holds their socket. Hold the lock.

        Most ends are told by the socket itself, so this looks no more often than every `LOOK_SECONDS`.
        """
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        for connection in self.connections.values():
            if not still_there(connection.peer, self._procfs, self._tasks):
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
        self._procfs.keep(self.connections.keys())

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._listening:
                    self._accept()
                elif isinstance(key.data, AgentConnection):
                    self._read(key.data)
            self._resume_paused()
            self._drop_silent()

    def _patience(self) -> float:
        now = self._clock()
        return max(0.0, min((at - now for at in self._paused.values()), default=LOOK_SECONDS))

    def _accept(self) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                connected, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no file left for them
                self._note_cut_off(f"an agent was not let in: {error}", None)
                time.sleep(FULL_SECONDS)
                return
            try:
                self._register(connected)
            except (RefusedError, OSError) as error:
                connected.close()
                uid = error.uid if isinstance(error, RefusedError) else None
                self._note_cut_off(f"an agent was not let in: {error}", uid)

    def _register(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        with self.lock:
            peer = identify(connected, self._procfs, self._tasks)
            if before := self.connections.get(peer.pid):
                self._note_exit(before)
                self._end(before)
            if len(self.connections) >= AGENTS_MAX:
                self._make_room(peer.uid)
            connection = AgentConnection(connected, peer, self._tasks, self._clock(), self.refusals, self.gpus)
            self._selector.register(connected, selectors.EVENT_READ, connection)
            self.connections[peer.pid] = connection

    def _make_room(self, uid: int) -> None:
        """Ends the newest connection of the user who has most. Raises `RefusedError` where that is this one."""
        theirs = of_largest_user(self.connections.values(), _uid)
        own = sum(connection.peer.uid == uid for connection in self.connections.values())
        if len(theirs) <= own + 1:
            raise RefusedError(f"{AGENTS_MAX} agents are connected", uid)
        self._end(theirs[-1])
        self._note_cut_off(
            f"agent {theirs[-1].peer.pid} is cut off: {len(theirs)} agents of one user", theirs[-1].peer.uid
        )

    def _read(self, connection: AgentConnection) -> None:
        now = self._clock()
        with self.lock:
            if self.connections.get(connection.peer.pid) is not connection:
                return
            frames, size = connection.frames, connection.bytes
            fault = self._receive(connection, now)
            if fault is None:
                fault = self._limit(connection, now)
            if fault is not None:
                if not fault:
                    self._note_exit(connection)
                self._end(connection)
                if fault:
                    self._note_cut_off(f"agent {connection.peer.pid} is cut off: {fault}", connection.peer.uid)
                return
        cost = connection.bytes - size + FRAME_BYTES * (connection.frames - frames)
        user = self._users.of(connection.peer.uid, now)
        user.reads.charge(cost, now)
        self._reads.charge(cost, now)
        pause = max(connection.due_in(now), user.reads.due_in(now), self._reads.due_in(now))
        if pause > 0:
            self._selector.unregister(connection.socket)
            self._paused[connection] = now + pause

    def _receive(self, connection: AgentConnection, now: float) -> str | None:
        """Why to close the connection, empty where the agent has done so itself; None to keep it."""
        before = connection.usage
        try:
            for oom in connection.receive(now):
                self._take_failure(connection, oom, now)
        except BlockingIOError:
            return None
        except (EOFError, ConnectionError):
            return ""
        except (WireError, RefusedError, OSError) as error:
            return str(error)
        except Exception as error:  # a bug of ours, which must not cost the other agents
            log.exception("fault while agent %d was heard", connection.peer.pid)
            return f"fault in the server: {type(error).__name__}"
        finally:
            self._usage = self._usage.changed(before, connection.usage)
        return None

    def _take_failure(self, connection: AgentConnection, message: OomMessage, now: float) -> None:
        """Keeps a failed allocation for the next sample, as far as the budgets of its program and its user go."""
        oom, user = message.header.oom, self._users.of(connection.peer.uid, now)
        if not self.gpus.holds(oom.gpu_uuid):
            error = RefusedReportError(f"no driver lists {oom.gpu_uuid}", oom.source, "unknown_gpu")
        elif not connection.failures.take(now) or not user.failures.take(now):
            error = RefusedReportError("too many failed allocations", oom.source, "too_many_failures")
        else:
            told = ReceivedOom(connection, message, time.time(), message.json_bytes)
            if told.bytes > FAILURE_BYTES_MAX:
                told = self._failures.without_details(told, "they would take too much", now)
            elif user.failure_bytes.due_in(now) > 0:
                told = self._failures.without_details(told, "its user told too much of failed allocations", now)
            user.failure_bytes.charge(told.bytes, now)
            self._failures.add(told, now)
            return
        connection.refuse(error, now)

    def _limit(self, connection: AgentConnection, now: float) -> str | None:
        """Why to close the connection; None to keep it. Where all together take too much, of the user who takes most
        the connection that takes most gives way."""
        for place, most in enumerate(LIMITS):
            while self._usage[place] > most:
                heaviest = self._heaviest(place)
                why = f"all agents together took more than {most} {Usage._fields[place]}"
                if place == HELD_BYTES and heaviest is connection:
                    return why
                self._relieve(heaviest, place, why, now)
        return None

    def _heaviest(self, place: int) -> AgentConnection:
        """Of the user whose agents take most, the one that takes most."""

        def size(connection: AgentConnection) -> int:
            return connection.usage[place]

        return max(of_largest_user(self.connections.values(), _uid, size), key=size)

    def _relieve(self, connection: AgentConnection, place: int, why: str, now: float) -> None:
        """Lets go of what a connection takes of one limit."""
        if place == HELD_BYTES:
            self._end(connection)
            self._note_cut_off(f"agent {connection.peer.pid} is cut off: {why}", connection.peer.uid)
            return
        before = connection.usage
        if place == ROWS:
            connection.drop_blocks(why)
        else:
            reason: RefusalReason = "too_many_parts" if place == PARTS else "too_large"
            connection.drop_reports(RefusedReportError(why, None, reason), now)
        self._usage = self._usage.changed(before, connection.usage)

    def _resume_paused(self) -> None:
        now = self._clock()
        for connection in [connection for connection, at in self._paused.items() if at <= now]:
            del self._paused[connection]
            if connection.socket.fileno() >= 0:
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _drop_silent(self) -> None:
        now = self._clock()
        if now < self._drop_silent_at:
            return
        self._drop_silent_at = now + LOOK_SECONDS
        for connection in tuple(self.connections.values()):
            if connection.is_silent(now):
                with self.lock:
                    self._end(connection)

    def _end(self, connection: AgentConnection) -> None:
        if self._paused.pop(connection, None) is None:
            self._selector.unregister(connection.socket)
        connection.socket.close()
        self._usage = self._usage.changed(connection.usage, Usage())
        self.frames_gone += connection.frames
        self.bytes_gone += connection.bytes
        if self.connections.get(connection.peer.pid) is connection:
            del self.connections[connection.peer.pid]

    def _note_exit(self, connection: AgentConnection) -> None:
        process_exit = exit_of(connection, time.time())
        if process_exit is not None:
            self._process_exits.append(process_exit)
            if len(self._process_exits) > EXITS_MAX:
                self._process_exits.remove(of_largest_user(self._process_exits, lambda one: one.uid or 0)[0])

    def _note_cut_off(self, line: str, uid: int | None) -> None:
        """Counts and logs a connection that was closed, of a user (None: not known)."""
        self.cut_off += 1
        self.refusals.note("disconnected", line, self._clock(), uid)
        if self._log_lines.take(self._clock()):
            log.warning("%s", line)


def _uid(connection: AgentConnection) -> int:
    return connection.peer.uid
