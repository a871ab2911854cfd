"""Takes in all agents, in one thread. What a single one does wrong ends with its connection."""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable

from blackbox.model.sample import Ending
from blackbox.sources.agents.connection import FRAME_BYTES, Connection
from blackbox.sources.agents.decode import OomMessage
from blackbox.sources.agents.exits import ending_of
from blackbox.sources.agents.peer import RefusedError, identify, still_there
from blackbox.sources.proc.processes import Procfs
from blackbox.sources.proc.threads import Tasks
from blackbox.sources.rate_limit import TokenBucket
from blackbox.wire import WireError

AGENTS_MAX = 1000
"""As many processes as a machine is expected to run on its GPUs."""
HELD_BYTES_MAX = 32 * 1024 * 1024
"""Memory for frames that are not complete, of all agents together: 30 large ones at once."""
ROWS_MAX = 400_000
"""Blocks held in memory, of all agents together: about 100 MB."""
READ_BYTES_PER_SECOND = 16 * 1024 * 1024
"""Of all agents together: 1,000 agents at 2 Hz take half of it, and 10 % of a core."""
READ_BYTES_BURST = 64 * 1024 * 1024
OOMS_MAX = 8
"""Failed allocations kept for the next sample, each with its block map."""
ACCEPTS_MAX = 32
"""Agents let in before those inside are heard again."""
ENDINGS_MAX = 64
ENDINGS_SECONDS = 60.0
"""How many ends are remembered, and for how long: the driver's list of processes may be read as rarely."""
LOOK_SECONDS = 1.0
"""How often to look for agents that say nothing."""
FULL_SECONDS = 0.1
"""Until letting in is tried again, when this process may open no more files."""
LOG_BURST, LOG_SECONDS = 20, 5.0
"""Lines about agents cut off: so many at once, then one in so many seconds."""

log = logging.getLogger(__name__)


class Reception:
    """Listens from its making until `close`. The lock guards everything that connections know."""

    def __init__(
        self,
        listening: socket.socket,
        procfs: Procfs,
        tasks: Tasks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.Lock()
        self.connections: dict[int, Connection] = {}
        """By pid."""
        self.cut_off = 0
        """Connections ended because their agent broke a rule, or was not allowed in."""
        self.frames_gone = 0
        self.bytes_gone = 0
        """Of connections that ended."""
        self._held_bytes = 0
        self._rows = 0
        """Of all connections."""
        self._ooms: list[tuple[Connection, OomMessage]] = []
        self._endings: list[Ending] = []
        self._listening = listening
        self._procfs = procfs
        self._tasks = tasks
        self._clock = clock
        self._reads = TokenBucket(READ_BYTES_BURST, READ_BYTES_PER_SECOND, clock())
        self._log_lines = TokenBucket(LOG_BURST, 1 / LOG_SECONDS, clock())
        self._look_at = self._end_mute_at = clock()
        self._paused: dict[Connection, float] = {}
        """Those that said too much, and when they are heard again."""
        self._bell, self._listener_bell = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._selector.register(self._listener_bell, selectors.EVENT_READ)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends all connections."""
        self._closing = True
        self._bell.send(b"\0")
        self._thread.join()
        for connection in tuple(self.connections.values()):
            self._end(connection)
        self._selector.close()
        self._bell.close()
        self._listener_bell.close()

    def take_ooms(self) -> list[tuple[Connection, OomMessage]]:
        """Failed allocations since the last call. Hold the lock."""
        ooms, self._ooms = self._ooms, []
        return ooms

    def endings(self) -> tuple[Ending, ...]:
        """The programs that ended lately. Hold the lock."""
        oldest = time.time() - ENDINGS_SECONDS
        self._endings = [ending for ending in self._endings if ending.timestamp >= oldest]
        return tuple(self._endings)

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
                    self._let_in()
                elif isinstance(key.data, Connection):
                    self._hear(key.data)
            self._hear_paused_again()
            self._end_mute()

    def _patience(self) -> float:
        now = self._clock()
        return max(0.0, min((at - now for at in self._paused.values()), default=LOOK_SECONDS))

    def _let_in(self) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                connected, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no file left for them
                self._note_cut_off(f"an agent was not let in: {error}")
                time.sleep(FULL_SECONDS)
                return
            try:
                self._register(connected)
            except (RefusedError, OSError) as error:
                connected.close()
                self._note_cut_off(f"an agent was not let in: {error}")

    def _register(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        with self.lock:
            peer = identify(connected, self._procfs, self._tasks)
            if before := self.connections.get(peer.pid):
                self._note_ending(before)
                self._end(before)
            if len(self.connections) >= AGENTS_MAX:
                raise RefusedError(f"{AGENTS_MAX} agents are connected")
            connection = Connection(connected, peer, self._tasks, self._clock())
            self._selector.register(connected, selectors.EVENT_READ, connection)
            self.connections[peer.pid] = connection

    def _hear(self, connection: Connection) -> None:
        now = self._clock()
        with self.lock:
            if self.connections.get(connection.peer.pid) is not connection:
                return
            frames, size = connection.frames, connection.bytes
            fault = self._receive(connection, now)
            if fault is None:
                fault = self._limit(connection)
            if fault is not None:
                if not fault:
                    self._note_ending(connection)
                self._end(connection)
                if fault:
                    self._note_cut_off(f"agent {connection.peer.pid} is cut off: {fault}")
                return
        self._reads.charge(connection.bytes - size + FRAME_BYTES * (connection.frames - frames), now)
        pause = max(connection.due_in(now), self._reads.due_in(now))
        if pause > 0:
            self._selector.unregister(connection.socket)
            self._paused[connection] = now + pause

    def _receive(self, connection: Connection, now: float) -> str | None:
        """Why to end the connection, empty where the agent has done so itself; None to go on."""
        held_bytes, rows = connection.held_bytes, connection.rows
        try:
            for oom in connection.receive(now):
                self._ooms = [*self._ooms, (connection, oom)][-OOMS_MAX:]
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
            self._held_bytes += connection.held_bytes - held_bytes
            self._rows += connection.rows - rows
        return None

    def _limit(self, connection: Connection) -> str | None:
        """Why to end the connection; too many blocks are only dropped."""
        if self._rows > ROWS_MAX:
            self._rows -= connection.rows
            connection.drop_blocks(f"all agents together told more than {ROWS_MAX} blocks")
        if self._held_bytes > HELD_BYTES_MAX:
            return f"all agents together sent more than {HELD_BYTES_MAX} bytes of frames that are not complete"
        return None

    def _hear_paused_again(self) -> None:
        now = self._clock()
        for connection in [connection for connection, at in self._paused.items() if at <= now]:
            del self._paused[connection]
            if connection.socket.fileno() >= 0:
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _end_mute(self) -> None:
        now = self._clock()
        if now < self._end_mute_at:
            return
        self._end_mute_at = now + LOOK_SECONDS
        for connection in tuple(self.connections.values()):
            if connection.is_mute(now):
                with self.lock:
                    self._end(connection)

    def _end(self, connection: Connection) -> None:
        if self._paused.pop(connection, None) is None:
            self._selector.unregister(connection.socket)
        connection.socket.close()
        self._held_bytes -= connection.held_bytes
        self._rows -= connection.rows
        self.frames_gone += connection.frames
        self.bytes_gone += connection.bytes
        if self.connections.get(connection.peer.pid) is connection:
            del self.connections[connection.peer.pid]

    def _note_ending(self, connection: Connection) -> None:
        ending = ending_of(connection, time.time())
        if ending is not None:
            self._endings = [*self._endings, ending][-ENDINGS_MAX:]

    def _note_cut_off(self, line: str) -> None:
        self.cut_off += 1
        if self._log_lines.take(self._clock()):
            log.warning("%s", line)
