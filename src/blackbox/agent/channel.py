"""The agent's end of the socket. Only `send_now` and `close` wait for the daemon, both with a time limit."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from fcntl import F_DUPFD_CLOEXEC, fcntl

from blackbox.wire.address import SYSTEM
from blackbox.wire.frame import FrameKind, Unpacker, WireError
from blackbox.wire.message import WELCOME_BYTES_MAX, read_welcome
from blackbox.wire.report import Welcome

RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 4.0
"""A restarted daemon is found within this time; a try costs 20 us."""
DESCRIPTOR_MIN = 250
"""Programs may rely on small descriptor numbers for the files they open: the agent's are above this."""
ANSWERS_BYTES_MAX = 4096
"""Far more than all answers that may have come too late."""
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid"""


class Channel:
    """A connection that is made again when it is lost, and the frames that wait for it.

    For one thread; any thread may call `send_now` and `reads`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        hello: bytes,
        trusted_uids: frozenset[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hello` opens every connection. Nothing is sent to a daemon of another user than `trusted_uids`, except at
        the path where only root can have put its socket.
        """
        self._paths = paths
        self._hello = hello
        self._trusted_uids = trusted_uids
        self._clock = clock
        self._lock = threading.Lock()
        """Guards what follows against `send_now`, which alone holds it while waiting."""
        self._socket: socket.socket | None = None
        self._answers = Unpacker(WELCOME_BYTES_MAX)
        self._welcome: Welcome | None = None
        """None until the daemon of this connection says it, which older ones never do."""
        self._inode = 0
        """Of the socket: a program may close all its files, and get the same descriptor number for another."""
        self._outbox: deque[memoryview] = deque()
        """Not sent yet; the first may be sent in part."""
        self._retry_at = 0.0
        self._retry_seconds = RETRY_SECONDS_MIN
        self.dropped: int = 0
        """Frames lost with their connection."""

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def reads(self) -> tuple[str, ...]:
        """What the daemon says it reads beyond the first version. Any thread may call."""
        if self._welcome is None and self._lock.acquire(blocking=False):
            self._drain()
            self._lock.release()
        return () if self._welcome is None else self._welcome.reads

    def look_at(self, paths: Sequence[str]) -> None:
        """Looks for the daemon at these paths from the next connection on. Any thread may call."""
        self._paths = paths
        self._retry_at = 0.0

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent."""
        return not self._outbox

    def connect(self) -> bool:
        """Connects, where that is not done and it is time to try; True for a new connection."""
        with self._lock:
            return self._connect()

    def send(self, frame: bytes) -> None:
        """Queues a frame; without a connection it is dropped."""
        with self._lock:
            if self._socket is not None:
                self._outbox.append(memoryview(frame))

    def pump(self) -> None:
        """Sends what the socket accepts at this moment."""
        with self._lock:
            self._pump()

    def wait(self, seconds: float) -> None:
        """Returns when the socket accepts more, or after `seconds`."""
        channel = self._socket
        if channel is not None:
            _wait(channel.fileno(), select.POLLOUT, seconds)

    def send_now(self, frame: bytes, seconds: float) -> bool:
        """Sends ahead of the frames that are queued, and waits for the daemon's acknowledgement; False where that does
        not come within `seconds`. Any thread may call.

        Without the acknowledgement the frame could be lost with the process: a daemon accepts no connection of a
        process that has ended.
        """
        until = self._clock() + seconds
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            self._retry_at = 0.0
            if self._socket is None and not self._connect():
                return False
            started = 1 if self._outbox and self._must_stay_first(self._outbox[0]) else 0
            self._drain()
            self._outbox.insert(started, memoryview(frame))
            return self._pump_until(until, left=len(self._outbox) - started - 1) and self._await_answer(until)
        finally:
            self._lock.release()

    def close(self, last_frame: bytes = b"", seconds: float = 0.0) -> None:
        """Ends the connection, after the queue and `last_frame` are sent or `seconds` have passed."""
        if not self._lock.acquire(timeout=RETRY_SECONDS_MIN):
            return
        try:
            if self._socket is not None:
                self._outbox.append(memoryview(last_frame))
                self._pump_until(self._clock() + seconds, left=0)
            self._disconnect()
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """In a child after a fork, closes its copy of the connection, which stays open in the parent.

        Takes no lock: a thread that does not exist in the child may hold it for ever.
        """
        if self._socket is not None:
            self._close_socket(self._socket)
            self._socket = None

    def _connect(self) -> bool:
        if self._socket is not None or self._clock() < self._retry_at:
            return False
        for path in self._paths:
            found = _dial(path, self._trusted_uids)
            if found is not None:
                self._socket = found
                self._inode = os.fstat(found.fileno()).st_ino
                self._answers, self._welcome = Unpacker(WELCOME_BYTES_MAX), None
                self._outbox.append(memoryview(self._hello))
                self._retry_seconds = RETRY_SECONDS_MIN
                return True
        self._retry_at = self._clock() + self._retry_seconds
        self._retry_seconds = min(RETRY_SECONDS_MAX, 2 * self._retry_seconds)
        return False

    def _pump_until(self, until: float, left: int) -> bool:
        """Sends until `left` frames are left; False where time or connection run out."""
        while True:
            self._pump()
            channel = self._socket
            if channel is None:
                return False
            if len(self._outbox) <= left:
                return True
            now = self._clock()
            if now >= until:
                return False
            _wait(channel.fileno(), select.POLLOUT, until - now)

    def _await_answer(self, until: float) -> bool:
        """Whether the daemon acknowledges before then."""
        while self._socket is not None and (left := until - self._clock()) > 0:
            _wait(self._socket.fileno(), select.POLLIN, left)
            answers = self._drain()
            if not answers or FrameKind.OOM_RECEIVED in answers:
                return bool(answers)
        return False

    def _drain(self) -> tuple[int, ...]:
        """Reads what has arrived; the kinds of these frames, empty where there are none."""
        try:
            data = self._socket.recv(ANSWERS_BYTES_MAX) if self._socket is not None else b""
            frames = tuple(self._answers.feed(data))
        except (OSError, WireError):
            return ()
        for frame in frames:
            if frame.kind == FrameKind.WELCOME:
                self._welcome = read_welcome(frame.payload)
        return tuple(frame.kind for frame in frames)

    def _pump(self) -> None:
        channel = self._socket
        if channel is None:
            return
        if not self._is_ours(channel):
            self._disconnect()
            return
        try:
            while self._outbox:
                sent = channel.send(self._outbox[0], socket.MSG_NOSIGNAL)
                if sent < len(self._outbox[0]):
                    self._outbox[0] = self._outbox[0][sent:]
                else:
                    self._outbox.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._disconnect()

    def _must_stay_first(self, frame: memoryview) -> bool:
        """Whether nothing may be sent before this frame: it opens the connection, or is sent in part."""
        return frame.obj is self._hello or len(frame) < len(frame.obj)  # pyright: ignore[reportArgumentType] - bytes

    def _is_ours(self, channel: socket.socket) -> bool:
        try:
            return os.fstat(channel.fileno()).st_ino == self._inode
        except OSError:
            return False

    def _disconnect(self) -> None:
        if self._socket is None:
            return
        self._close_socket(self._socket)
        self._socket = None
        self.dropped += len(self._outbox)
        self._outbox.clear()
        self._retry_at = self._clock() + self._retry_seconds

    def _close_socket(self, channel: socket.socket) -> None:
        if self._is_ours(channel):
            channel.close()
        else:
            channel.detach()


def _wait(descriptor: int, until: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, until)
    poll.poll(max(0.0, seconds) * 1000)


def _dial(path: str, trusted_uids: frozenset[int]) -> socket.socket | None:
    """A connection to the daemon at `path`; None where none listens that is trusted."""
    found = _new_socket()
    try:
        found.connect(path)
        if path == SYSTEM or _peer_uid(found) in trusted_uids:
            return found
    except (OSError, ValueError):  # a path too long, or with a null in it
        pass
    found.close()
    return None


def _new_socket() -> socket.socket:
    """One whose descriptor is at least `DESCRIPTOR_MIN`, if this process may open as many."""
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        descriptor = fcntl(plain.fileno(), F_DUPFD_CLOEXEC, DESCRIPTOR_MIN)
    except OSError:
        return plain
    plain.close()
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)


def _peer_uid(connected: socket.socket) -> int:
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1]
