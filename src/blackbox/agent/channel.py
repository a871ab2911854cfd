"""The agent's end of the socket. Nothing here waits for the daemon but `send_now`, and that has a limit."""

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

RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 4.0
"""A daemon that was started again is found within this time; looking costs 20 us."""
DESCRIPTOR_MIN = 250
"""Programs may count on small numbers for the files they open: ours stays out of their way."""
HEARD_BYTES_MAX = 4096
"""All answers that may have come too late."""
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid"""


class Channel:
    """A connection that comes and goes, and the frames that wait for it. For one thread, but for `send_now`."""

    def __init__(
        self,
        paths: Sequence[str],
        hello: bytes,
        trusted_uids: frozenset[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hello` opens every connection. Daemons of others than `trusted_uids` are not spoken to, but where only
        root can have put them.
        """
        self._paths = paths
        self._hello = hello
        self._trusted_uids = trusted_uids
        self._clock = clock
        self._lock = threading.Lock()
        """Guards what follows against `send_now`. Never held while waiting, but there."""
        self._socket: socket.socket | None = None
        self._inode = 0
        """Of the socket: a program may close all its files, and be given our number for another."""
        self._outbox: deque[memoryview] = deque()
        """Not sent yet; the first may be sent in part."""
        self._retry_at = 0.0
        self._retry_seconds = RETRY_SECONDS_MIN
        self.dropped: int = 0
        """Frames lost with their connection."""

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def idle(self) -> bool:
        """Nothing waits to be sent."""
        return not self._outbox

    def connect(self) -> bool:
        """Connects, where that is not done and it is time to try; True for a new connection."""
        with self._lock:
            return self._connect()

    def send(self, frame: bytes) -> None:
        """Puts a frame behind the others; nothing where there is no connection."""
        with self._lock:
            if self._socket is not None:
                self._outbox.append(memoryview(frame))

    def pump(self) -> None:
        """Sends what the daemon takes now."""
        with self._lock:
            self._pump()

    def wait(self, seconds: float) -> None:
        """Returns when the daemon takes more, or after `seconds`."""
        channel = self._socket
        if channel is not None:
            _wait(channel.fileno(), select.POLLOUT, seconds)

    def send_now(self, frame: bytes, seconds: float) -> bool:
        """Sends before anything that is not begun, and waits for the daemon's word that it has arrived; False where
        that does not come within `seconds`. Any thread may call.

        Without the word the frame could be lost with the process: a daemon lets nobody in who is gone.
        """
        until = self._clock() + seconds
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            self._retry_at = 0.0
            if self._socket is None and not self._connect():
                return False
            begun = 1 if self._outbox and self._goes_first(self._outbox[0]) else 0
            self._drain()
            self._outbox.insert(begun, memoryview(frame))
            return self._pump_until(until, left=len(self._outbox) - begun - 1) and self._hear_until(until)
        finally:
            self._lock.release()

    def close(self, farewell: bytes = b"", seconds: float = 0.0) -> None:
        """Ends the connection; what waits, and then `farewell`, is sent where the daemon takes it within `seconds`."""
        if not self._lock.acquire(timeout=RETRY_SECONDS_MIN):
            return
        try:
            if self._socket is not None:
                self._outbox.append(memoryview(farewell))
                self._pump_until(self._clock() + seconds, left=0)
            self._lose()
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """Lets go of a parent's connection, in a child after a fork: it is the parent's to use and to end.

        The lock may be held for ever by a thread that does not exist here, so it is not asked for.
        """
        if self._socket is not None:
            self._let_go(self._socket)
            self._socket = None

    def _connect(self) -> bool:
        if self._socket is not None or self._clock() < self._retry_at:
            return False
        for path in self._paths:
            found = _dial(path, self._trusted_uids)
            if found is not None:
                self._socket = found
                self._inode = os.fstat(found.fileno()).st_ino
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

    def _hear_until(self, until: float) -> bool:
        """Whether the daemon says something before then."""
        channel = self._socket
        if channel is None:
            return False
        _wait(channel.fileno(), select.POLLIN, until - self._clock())
        return self._drain()

    def _drain(self) -> bool:
        """Whether the daemon has said something; it only ever says one thing."""
        try:
            return self._socket is not None and bool(self._socket.recv(HEARD_BYTES_MAX))
        except OSError:
            return False

    def _pump(self) -> None:
        channel = self._socket
        if channel is None:
            return
        if not self._is_ours(channel):
            self._lose()
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
            self._lose()

    def _goes_first(self, frame: memoryview) -> bool:
        """Whether nothing may be put before this frame: it opens the connection, or is sent in part."""
        return frame.obj is self._hello or len(frame) < len(frame.obj)  # pyright: ignore[reportArgumentType] - bytes

    def _is_ours(self, channel: socket.socket) -> bool:
        try:
            return os.fstat(channel.fileno()).st_ino == self._inode
        except OSError:
            return False

    def _lose(self) -> None:
        if self._socket is None:
            return
        self._let_go(self._socket)
        self._socket = None
        self.dropped += len(self._outbox)
        self._outbox.clear()
        self._retry_at = self._clock() + self._retry_seconds

    def _let_go(self, channel: socket.socket) -> None:
        if self._is_ours(channel):
            channel.close()
        else:
            channel.detach()


def _wait(descriptor: int, until: int, seconds: float) -> None:
    poll = select.poll()
    poll.register(descriptor, until)
    poll.poll(max(0.0, seconds) * 1000)


def _dial(path: str, trusted_uids: frozenset[int]) -> socket.socket | None:
    """A connection to whoever listens at `path`; None where nobody does who may be trusted."""
    found = _socket_out_of_the_way()
    try:
        found.connect(path)
        if path == SYSTEM or _peer_uid(found) in trusted_uids:
            return found
    except (OSError, ValueError):  # a path too long, or with a null in it
        pass
    found.close()
    return None


def _socket_out_of_the_way() -> socket.socket:
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        descriptor = fcntl(plain.fileno(), F_DUPFD_CLOEXEC, DESCRIPTOR_MIN)
    except OSError:  # this process may not open as many
        return plain
    plain.close()
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor)


def _peer_uid(connected: socket.socket) -> int:
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1]
