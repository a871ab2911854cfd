"""The agent of this process: one thread, from the first probe to the end of the program, started again after a fork.

The thread is started by `_thread`, so that programs which wait for all threads of `threading` do not wait for it, and
blocks all signals, so that they reach the threads the program meant.
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

from blackbox.agent.channel import Channel
from blackbox.agent.exit import exception_name
from blackbox.agent.overhead import GilYielder, restore_gc
from blackbox.agent.probe import Probe
from blackbox.agent.reporter import Reporter
from blackbox.agent.settings import AgentSettings, read_settings
from blackbox.wire.address import agent_paths
from blackbox.wire.message import pack_goodbye, pack_hello, pack_oom
from blackbox.wire.report import Goodbye, Hello, Oom

FORK_STOP_SECONDS_MAX = 0.1
"""A fork waits this long for a tick to end; most of the time none is under way."""
GONE_SECONDS = 0.0001
"""Between looks whether a thread that has ended is gone."""
EXIT_STOP_SECONDS_MAX = 1.0
"""The end of the program waits longer: a tick in a framework's code that outlives Python would crash it."""
GOODBYE_SECONDS_MAX = 0.2
"""The end of the program waits this long for a slow daemon, so that it learns how the program ended."""
OOM_SECONDS_MAX = 1.0
"""How long a program that is out of memory may be held up so that the daemon learns of it."""
OOM_RETRY_RATIO = 30
"""After waiting in vain, this many times as long passes before waiting again: programs that live on may fail to
allocate a hundred times per second."""
FINALIZER_PRIORITY = -100
"""Among those of `multiprocessing`: after its own, which join the children."""
SEND_SECONDS = 0.05
"""How long to wait for a daemon that is reading before checking whether to stop."""
ROOT = 0
THREAD_NAME = b"blackbox-agent"
_START_TICKS = 19
"""Field of the stat file, counted from behind the name."""


class AgentRuntime:
    """The agent in one process; probes see it as their `AgentContext`."""

    def __init__(self, settings: AgentSettings, paths: Sequence[str]) -> None:
        """`paths`: where to look for the daemon."""
        self.extras: frozenset[str] = settings.extras
        self._settings = settings
        self._paths = paths
        self._started: set[str] = set()
        """`module=probe` pairs whose probe was made."""
        self._channel = _channel(paths)
        self._probes: list[Probe] = []
        self._reporter = Reporter(self._channel, settings)
        self._thread: _AgentThread | None = None
        self._pid = os.getpid()
        self._oom_retry_at = 0.0
        self._finalizer_pid = 0
        """The process in which `multiprocessing` has our finalizer."""
        self._is_over = False
        """Goodbye was sent: nothing is sent after it."""
        self._is_detached = False
        """Until `wake`; in children after a fork, too."""
        self._ending: _AgentThread | None = None
        """The thread that `detach` stopped, which may still be in a tick."""
        self._stopped_for_fork: _AgentThread | None = None
        self._lock = threading.Lock()

    def start_probes(self, module: ModuleType, probes: Sequence[str]) -> None:
        """Makes the probes that wait for this module. A probe that cannot be made is left out."""
        for name in probes:
            key = f"{module.__name__}={name}"
            if key in self._started:
                continue
            self._started.add(key)
            try:
                probe = importlib.import_module(name).make(module, self)
            except Exception:  # noqa: S112 - less to see, that is all
                continue
            if probe is not None:
                self._probes.append(probe)
                self._reporter.add(probe)
                self.ensure_thread()

    def ensure_thread(self) -> None:
        """See `AgentContext`."""
        if self._is_detached or (self._thread is not None and self._pid == os.getpid()):
            return
        with self._lock:
            if self._thread is None and not self._is_over and not self._is_detached:
                self._start(after=self._ending)
                self._register_finalizer()

    def add_cost(self, seconds: float) -> None:
        """See `AgentContext`."""
        self._reporter.spend(seconds)

    def yield_gil(self) -> None:
        """See `AgentContext`."""
        thread = self._thread
        if thread is not None:
            thread.yield_gil()

    def out_of_memory(self, oom: Oom) -> None:
        """See `AgentContext`."""
        if self._is_detached:
            return
        with contextlib.suppress(Exception):
            began = time.monotonic()
            if began >= self._oom_retry_at and not self._send_now(oom):
                waited = time.monotonic() - began
                self._oom_retry_at = began + waited * OOM_RETRY_RATIO

    def _send_now(self, oom: Oom) -> bool:
        return self._channel.send_now(pack_oom(oom, self._channel.reads()), OOM_SECONDS_MAX)

    def before_fork(self) -> None:
        """Stops the thread: it may hold no lock while the process is copied, and from 3.12 on Python warns of a fork
        where the kernel still lists another thread.
        """
        thread = self._stopped_for_fork = self._thread  # `detach` may take it away meanwhile
        if thread is not None and thread.stop(FORK_STOP_SECONDS_MAX):
            thread.wait_gone(FORK_STOP_SECONDS_MAX)

    def after_fork_in_parent(self) -> None:
        """Starts the thread again: the one that was stopped, never one that came meanwhile and runs."""
        with self._lock:
            stopped, self._stopped_for_fork = self._stopped_for_fork, None
            if stopped is not None and self._thread is stopped:
                self._start(after=stopped)

    def after_fork_in_child(self) -> None:
        """Resets the state; the thread is started when a probe asks for it, since most children never use a GPU."""
        restore_gc()
        self._lock = threading.Lock()
        self._thread = self._ending = self._stopped_for_fork = None
        self._pid = os.getpid()
        self._is_over = False
        self._channel.abandon()
        self._channel = _channel(self._paths)
        self._reporter = Reporter(self._channel, self._settings)
        for probe in self._probes:
            self._reporter.add(probe)

    @property
    def connected(self) -> bool:
        """A daemon has taken this program's connection."""
        return self._channel.connected

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the probes that were made."""
        return tuple(probe.source for probe in self._probes)

    def detach(self) -> None:
        """Ends thread and connection while the program goes on. No goodbye: the daemon sees that it lives."""
        with self._lock:
            self._is_detached = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._ending = thread
            thread.stop(EXIT_STOP_SECONDS_MAX)
        self._channel.close()

    def wake(self, paths: Sequence[str]) -> None:
        """Goes on after `detach`, and looks for the daemon at `paths`, where any are given."""
        if paths:
            self._paths = paths
            self._channel.look_at(paths)
        self._is_detached = False
        if self._probes:
            self.ensure_thread()

    def shutdown(self) -> None:
        """Stops the thread while Python still runs: in a framework's code it would crash the program later.

        Tells the daemon how the program ends, which otherwise takes it for killed.
        """
        if self._pid != os.getpid():
            return
        self._is_over = True
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.stop(EXIT_STOP_SECONDS_MAX)
            self._channel.close(pack_goodbye(Goodbye(exception_name())), GOODBYE_SECONDS_MAX)

    def _register_finalizer(self) -> None:
        """With `multiprocessing`, whose children end by `os._exit`, so without `atexit`, but run its finalizers.

        A forked child runs only those that were registered after the fork.
        """
        util = sys.modules.get("multiprocessing.util")
        if util is None or self._finalizer_pid == os.getpid():
            return
        self._finalizer_pid = os.getpid()
        with contextlib.suppress(Exception):
            util.register_after_fork(self, AgentRuntime._add_finalizer)
            self._add_finalizer()

    def _add_finalizer(self) -> None:
        with contextlib.suppress(Exception):
            sys.modules["multiprocessing.util"].Finalize(None, self.shutdown, exitpriority=FINALIZER_PRIORITY)

    def _start(self, after: _AgentThread | None = None) -> None:
        try:
            self._thread = _AgentThread(self._channel, self._reporter, after)
        except Exception:
            self._thread = None  # the system has no thread left


class _AgentThread:
    """Runs the reporter's ticks until it is stopped."""

    def __init__(self, channel: Channel, reporter: Reporter, after: _AgentThread | None) -> None:
        """Begins when `after`, the thread before it, has ended."""
        self._channel = channel
        self._reporter = reporter
        self._after = after
        self._due = 0.0 if after is None else after._due
        """When to tick next; a program that forks all the time is not reported more often than others."""
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._gil = GilYielder(self._stopping.wait)  # so that `stop` need not wait until a yield is over
        self._ident = 0
        self._task = ""
        """Its folder under /proc while the kernel lists it."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            _thread.start_new_thread(self._run, ())
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def stop(self, seconds: float) -> bool:
        """Whether it ended within this time."""
        self._stopping.set()
        return self._ended.wait(seconds)

    def wait_gone(self, seconds: float) -> None:
        """Waits until the kernel lists it no more: that is some microseconds after it has ended."""
        until = time.monotonic() + seconds
        while os.access(self._task, os.F_OK) and time.monotonic() < until:
            time.sleep(GONE_SECONDS)

    def yield_gil(self) -> None:
        """Lets the program run Python for a moment. Does nothing on another thread."""
        if self._ident == _thread.get_ident():
            self._gil.yield_gil()

    def _run(self) -> None:
        self._ident = _thread.get_ident()
        self._task = f"/proc/self/task/{threading.get_native_id()}"
        try:
            if self._after is not None:
                self._after._ended.wait()
                self._after = None
            _name_this_thread(self._task)
            self._wait_until(self._due)
            while not self._stopping.is_set():
                self._due = time.monotonic() + self._reporter.tick()
                self._wait_until(self._due)
        except BaseException:  # noqa: S110 - Python would print it
            pass
        finally:
            self._ended.set()

    def _wait_until(self, due: float) -> None:
        while not self._stopping.is_set() and (left := due - time.monotonic()) > 0:
            if self._channel.idle:
                self._stopping.wait(left)
            else:
                self._channel.wait(min(left, SEND_SECONDS))
                self._channel.pump()


_runtime: AgentRuntime | None = None
_runtime_lock = threading.Lock()


def start_probes(module: ModuleType, probes: Sequence[str], daemon_socket: str = "") -> None:
    """Makes the probes of a module that was imported, in the one agent of this process.

    `daemon_socket`: where the daemon listens; empty, where the environment says.
    """
    global _runtime
    with _runtime_lock:
        if _runtime is None:
            paths = (daemon_socket,) if daemon_socket else agent_paths(os.environ, os.getuid())
            _runtime = runtime = AgentRuntime(read_settings(os.environ), paths)
            os.register_at_fork(
                before=runtime.before_fork,
                after_in_parent=runtime.after_fork_in_parent,
                after_in_child=runtime.after_fork_in_child,
            )
            atexit.register(runtime.shutdown)
    _runtime.start_probes(module, probes)


def wake(daemon_socket: str) -> None:
    """Has an agent that was detached go on; with a socket, it looks for its daemon there from now on."""
    if _runtime is not None:
        _runtime.wake((daemon_socket,) if daemon_socket else ())


def detach() -> None:
    """Ends the agent's thread and connection; see `AgentRuntime.detach`."""
    if _runtime is not None:
        _runtime.detach()


def state() -> tuple[tuple[str, ...], bool]:
    """Names of the probes in this process, and whether a daemon has taken the connection."""
    return ((), False) if _runtime is None else (_runtime.sources, _runtime.connected)


def _channel(paths: Sequence[str]) -> Channel:
    return Channel(paths, pack_hello(_hello()), trusted_uids=frozenset((ROOT, os.getuid())))


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


def _name_this_thread(task: str) -> None:
    """So that tools which list the threads of a process show whose it is."""
    with contextlib.suppress(OSError):
        descriptor = os.open(f"{task}/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, THREAD_NAME)
        finally:
            os.close(descriptor)
