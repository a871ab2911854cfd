"""A source's own process, seen from outside: its socket, its output, its breadcrumbs, its end."""

import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable

import msgspec

from blackbox import wire
from blackbox.model.sample import Sample
from blackbox.sources.isolation.answer import Answer, AnswerUnpacker
from blackbox.sources.isolation.breadcrumbs import Breadcrumb, Breadcrumbs
from blackbox.sources.isolation.child import RECEIVE_BYTES, SampleRequest
from blackbox.sources.isolation.lifetime import signal_name
from blackbox.sources.rate_limit import TokenBucket

SEND_SECONDS_MAX = 0.2
"""A request fits into the socket's buffer; this only bounds the impossible."""
EXIT_SECONDS_MAX = 0.5
"""A process told to leave closes its handles in milliseconds."""
REAP_SECONDS_MAX = 0.2
"""SIGKILL takes effect at once, or not before the kernel lets go of the process."""
LAUNCH = """\
import sys
from blackbox.imports import import_for_child
import_for_child()
from blackbox.sources.isolation.child import main
sys.exit(main())
"""
"""What the process runs."""
LINE_CHARS_MAX = 500
LINES_BURST = 50
LINES_SECONDS = 1.0
"""A library that complains in a loop gets one line a second into the log after the first ones; the rest are counted."""

log = logging.getLogger(__name__)


class ProcessLostError(Exception):
    """The process ended, or what it said makes no sense. The message says which."""


class SourceProcess:
    """One process hosting one source. Never waits longer than it says; the owner calls `end` when done with it."""

    def __init__(self, name: str, factory: str, clock: Callable[[], float]) -> None:
        """Starts it. Raises `OSError` where the machine refuses."""
        self._name = name
        self._decoder = msgspec.msgpack.Decoder(Answer)
        self._encoder = msgspec.msgpack.Encoder()
        self._unpacker = wire.Unpacker()
        self._answers = AnswerUnpacker()
        self._clock = clock
        self._lines = TokenBucket(LINES_BURST, 1 / LINES_SECONDS, clock())
        self._lines_omitted = 0
        self._last_line = ""
        self._breadcrumbs, breadcrumbs_fd = Breadcrumbs.create()
        self._channel, theirs = socket.socketpair()
        try:
            self._popen = _start(factory, theirs.fileno(), breadcrumbs_fd)
        except OSError:
            self._channel.close()
            self._breadcrumbs.close()
            raise
        finally:
            theirs.close()
            os.close(breadcrumbs_fd)
        assert self._popen.stdout
        self._output = self._popen.stdout
        os.set_blocking(self._output.fileno(), False)
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._poll.register(self._output, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def crumb(self) -> Breadcrumb | None:
        """The driver call it is in, or was in when it ended. Raises `ValueError` after `end`."""
        return self._breadcrumbs.read()

    def send(self, request: SampleRequest) -> None:
        """Asks for a sample. Raises `ProcessLostError`."""
        self._channel.settimeout(SEND_SECONDS_MAX)
        try:
            self._channel.sendall(wire.pack(wire.FrameKind.REQUEST, self._encoder.encode(request)))
        except OSError as error:
            raise ProcessLostError(self._ending()) from error

    def receive(self, seconds: float) -> Sample | None:
        """The sample, or None when there is none after `seconds`. Raises `ProcessLostError`."""
        ready = {fd for fd, _ in self._poll.poll(seconds * 1000)}
        if self._output.fileno() in ready:
            self._log_output()
        if self._channel.fileno() not in ready:
            return None
        try:
            data = self._channel.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            raise ProcessLostError(self._ending())
        try:
            return self._sample_in(data)
        except (wire.WireError, msgspec.MsgspecError, ValueError) as error:
            raise ProcessLostError(f"sent nonsense: {error}") from error

    def ask_to_leave(self) -> None:
        """Tells it to close its handles and exit, and gives it `EXIT_SECONDS_MAX` for that."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(EXIT_SECONDS_MAX)

    def end(self) -> bool:
        """Kills it and closes all its handles; False while the kernel has not ended it (see `gone`)."""
        self._popen.kill()
        gone = self._reap()
        self._log_output()
        self._channel.close()
        self._output.close()
        self._breadcrumbs.close()
        return gone

    def gone(self) -> bool:
        """Whether the kernel has ended it."""
        return self._popen.poll() is not None

    def _sample_in(self, data: bytes) -> Sample | None:
        for frame in self._unpacker.feed(data):
            if frame.kind != wire.FrameKind.SAMPLE:
                raise wire.WireError(f"a frame of kind {frame.kind} instead of a sample")
            return self._answers.unpack(self._decoder.decode(frame.payload))
        return None

    def _reap(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(REAP_SECONDS_MAX)
        return self._popen.returncode is not None

    def _ending(self) -> str:
        """How it ended, in words."""
        if not self._reap():
            return "closed its socket"
        self._log_output()
        code = self._popen.returncode
        if code < 0:
            return f"was killed by {signal_name(-code)}"
        return f"exited with code {code}" + (f": {self._last_line}" if self._last_line else "")

    def _log_output(self) -> None:
        for line in self._read_lines():
            self._last_line = line
            if not self._lines.take(self._clock()):
                self._lines_omitted += 1
                continue
            if self._lines_omitted:
                log.warning("%s: process %d: %d lines omitted", self._name, self.pid, self._lines_omitted)
                self._lines_omitted = 0
            log.warning("%s: process %d: %s", self._name, self.pid, line)

    def _read_lines(self) -> list[str]:
        data = self._output.read(RECEIVE_BYTES)
        if data is None:  # nothing to read now
            return []
        if not data:  # nor ever again
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._output)
        lines = data.decode(errors="replace").splitlines()
        return [line[:LINE_CHARS_MAX] for line in lines if line.strip()]


def _start(factory: str, channel_fd: int, breadcrumbs_fd: int) -> subprocess.Popen[bytes]:
    fds = channel_fd, breadcrumbs_fd
    return subprocess.Popen(
        # -P: a folder the server happens to stand in is no place to import from
        [sys.executable, "-P", "-c", LAUNCH, factory, *map(str, fds), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=fds,
    )
