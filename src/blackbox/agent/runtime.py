"""The agent of this process: one thread, from the first probe to the end of the program, and anew after a fork.

The thread is started below `threading`, so that programs which wait for all their threads do not wait for it, and takes
no signals, so that they go to the threads the program meant.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import ModuleType

from blackbox.agent import gc_pause as garbage
from blackbox.agent.channel import Channel
from blackbox.agent.exit import exception_name
from blackbox.agent.gil import Turns
from blackbox.agent.probe import Probe
from blackbox.agent.reporter import Reporter
from blackbox.agent.settings import Settings, read_settings
from blackbox.wire.address import agent_paths
from blackbox.wire.message import pack_goodbye, pack_hello, pack_oom
from blackbox.wire.report import Goodbye, Hello, Oom

STOP_SECONDS_MAX = 0.1
"""A fork waits this long for a tick to end; most of the time none is under way."""
END_SECONDS_MAX = 1.0
"""The end of the program waits longer: a tick in a framework's code that outlives Python would crash it."""
FAREWELL_SECONDS_MAX = 0.2
"""And for a daemon that has fallen behind, so that it hears that the program was not killed."""
OOM_SECONDS_MAX = 1.0
"""The last word of a dying program may cost it this much."""
OOM_RETRY_RATIO = 30
"""After waiting in vain, this many times as long passes before waiting again: programs that live on may fail to
allocate a hundred times per second."""
FINALIZER_PRIORITY = -100
"""Among those of `multiprocessing`: after its own, which join the children."""
SEND_SECONDS = 0.05
"""How long to wait for a daemon that is reading before looking whether to stop."""
ROOT = 0
THREAD_NAME = b"blackbox-agent"
_START_TICKS = 19
"""Field of the stat file, counted from behind the name."""


class Life:
    """The agent in one process; probes know it as their `Desk`."""

    def __init__(self, settings: Settings) -> None:
        self.extras: frozenset[str] = settings.extras
        self._settings = settings
        self._made: set[str] = set()
        """`module=probe` pairs that were woken."""
        self._channel = _channel()
        self._probes: list[Probe] = []
        self._reporter = Reporter(self._channel, settings)
        self._thread: _AgentThread | None = None
        self._pid = os.getpid()
        self._oom_retry_at = 0.0
        self._minded_pid = 0
        """In which process `multiprocessing` knows of us."""
        self._is_over = False
        """Goodbye was said: the program does not speak again."""
        self._lock = threading.Lock()

    def wake(self, module: ModuleType, probes: Sequence[str]) -> None:
        """Makes the probes that wait for this module. Raises nothing that is theirs."""
        for name in probes:
            key = f"{module.__name__}={name}"
            if key in self._made:
                continue
            self._made.add(key)
            try:
                probe = importlib.import_module(name).make(module, self)
            except Exception:  # noqa: S112 - less to see, that is all
                continue
            if probe is not None:
                self._probes.append(probe)
                self._reporter.add(probe)
                self.awake()

    def awake(self) -> None:
        """See `Desk`."""
        if self._thread is not None and self._pid == os.getpid():
            return
        with self._lock:
            if self._thread is None and not self._is_over:
                self._start()
                self._mind_multiprocessing()

    def spent(self, seconds: float) -> None:
        """See `Desk`."""
        self._reporter.spend(seconds)

    def rest(self) -> None:
        """See `Desk`."""
        thread = self._thread
        if thread is not None:
            thread.rest()

    def out_of_memory(self, oom: Oom) -> None:
        """See `Desk`."""
        with contextlib.suppress(Exception):
            began = time.monotonic()
            if began >= self._oom_retry_at and not self._channel.send_now(pack_oom(oom), OOM_SECONDS_MAX):
                waited = time.monotonic() - began
                self._oom_retry_at = began + waited * OOM_RETRY_RATIO

    def before_fork(self) -> None:
        """No thread of ours may hold a lock while the process is copied."""
        if self._thread is not None:
            self._thread.stop(STOP_SECONDS_MAX)

    def after_fork_in_parent(self) -> None:
        """Goes on."""
        if self._thread is not None:
            self._start(after=self._thread)

    def after_fork_in_child(self) -> None:
        """Begins anew when a probe asks for it: most children never touch a GPU."""
        garbage.put_back()
        self._lock = threading.Lock()
        self._thread = None
        self._pid = os.getpid()
        self._is_over = False
        self._channel.abandon()
        self._channel = _channel()
        self._reporter = Reporter(self._channel, self._settings)
        for probe in self._probes:
            self._reporter.add(probe)

    def end(self) -> None:
        """Stops while Python still runs: a thread that is met later in a framework's code would take it down.

        Says how the program ends: whoever goes without a word is taken for dead.
        """
        if self._pid != os.getpid():
            return
        self._is_over = True
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop(END_SECONDS_MAX)
            self._channel.close(pack_goodbye(Goodbye(exception_name())), FAREWELL_SECONDS_MAX)

    def _mind_multiprocessing(self) -> None:
        """Its children leave by `os._exit`, past `atexit`, but run finalizers; forked ones those of after the fork."""
        util = sys.modules.get("multiprocessing.util")
        if util is None or self._minded_pid == os.getpid():
            return
        self._minded_pid = os.getpid()
        with contextlib.suppress(Exception):
            util.register_after_fork(self, Life._finalize_in_child)
            self._finalize_in_child()

    def _finalize_in_child(self) -> None:
        with contextlib.suppress(Exception):
            sys.modules["multiprocessing.util"].Finalize(None, self.end, exitpriority=FINALIZER_PRIORITY)

    def _start(self, after: _AgentThread | None = None) -> None:
        try:
            self._thread = _AgentThread(self._channel, self._reporter, after)
        except Exception:
            self._thread = None  # the system has no thread left


class _AgentThread:
    """Ticks until it is stopped."""

    def __init__(self, channel: Channel, reporter: Reporter, after: _AgentThread | None) -> None:
        """Begins when `after` has ended, which was told to."""
        self._channel = channel
        self._reporter = reporter
        self._after = after
        self._due = 0.0 if after is None else after._due
        """When to tick next; a program that forks all the time is not reported more often for that."""
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._turns = Turns(self._stopping.wait)  # whoever waits for the end of a tick does not wait for rests
        self._ident = 0
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            _thread.start_new_thread(self._run, ())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def stop(self, seconds: float) -> bool:
        """Whether it ended within this time."""
        self._stopping.set()
        return self._ended.wait(seconds)

    def rest(self) -> None:
        """Gives the program a turn. Does nothing on another thread."""
        if self._ident == _thread.get_ident():
            self._turns.rest()

    def _run(self) -> None:
        self._ident = _thread.get_ident()
        try:
            if self._after is not None:
                self._after._ended.wait()
                self._after = None
            _name_this_thread()
            self._rest_until(self._due)
            while not self._stopping.is_set():
                self._due = time.monotonic() + self._reporter.tick()
                self._rest_until(self._due)
        except BaseException:  # noqa: S110 - Python would print it
            pass
        finally:
            self._ended.set()

    def _rest_until(self, due: float) -> None:
        while not self._stopping.is_set() and (left := due - time.monotonic()) > 0:
            if self._channel.idle:
                self._stopping.wait(left)
            else:
                self._channel.wait(min(left, SEND_SECONDS))
                self._channel.pump()


_life: Life | None = None
_life_lock = threading.Lock()


def wake(module: ModuleType, probes: Sequence[str]) -> None:
    """Makes the probes of a module that was imported, in the one agent of this process."""
    global _life
    with _life_lock:
        if _life is None:
            _life = life = Life(read_settings(os.environ))
            os.register_at_fork(
                before=life.before_fork,
                after_in_parent=life.after_fork_in_parent,
                after_in_child=life.after_fork_in_child,
            )
            atexit.register(life.end)
    _life.wake(module, probes)


def _channel() -> Channel:
    uid = os.getuid()
    return Channel(agent_paths(os.environ, uid), pack_hello(_hello()), trusted_uids=frozenset((ROOT, uid)))


def _hello() -> Hello:
    try:
        pid_namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - `pathlib` would be imported for it
        stat = _read("/proc/self/stat")
        start_ticks = int(stat.rpartition(")")[2].split()[_START_TICKS])
    except (OSError, ValueError, IndexError):
        pid_namespace = start_ticks = 0
    return Hello(os.getpid(), pid_namespace, start_ticks)


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096).decode(errors="replace")
    finally:
        os.close(descriptor)


def _name_this_thread() -> None:
    """For those who look at the threads of a process."""
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, THREAD_NAME)
        finally:
            os.close(descriptor)
