"""The driver's own reports (Xid errors, memory errors), awaited in a thread of their own."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from ctypes import byref, c_uint, c_ulonglong, c_void_p
from typing import Any

from blackbox.model.event import Event, EventKind
from blackbox.model.parts import gpu_name
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.driver import NO_DEVICE, Driver
from blackbox.sources.nvidia.errors import SUCCESS, TIMEOUT, Fault
from blackbox.sources.nvidia.topology import DeviceHandle

QUEUE_MAX = 1024
"""Events between two samples; a GPU in trouble can report thousands a second, which say nothing more."""
WAIT_SECONDS = 0.25
"""One wait in the driver, and so the longest that closing has to wait for the thread."""
JOIN_SECONDS_MAX = 2.0
"""A thread that stays inside the driver for longer is abandoned."""
FAILURES_MAX = 20
"""Waits failing in a row (5 s) before the watch ends; the next change of the machine starts another."""

_CREATE = "nvmlEventSetCreate"
_FREE = "nvmlEventSetFree"
_SUPPORTED = "nvmlDeviceGetSupportedEventTypes"
_REGISTER = "nvmlDeviceRegisterEvents"
_WAIT = "nvmlEventSetWait_v2"

_KINDS: dict[int, tuple[EventKind, str]] = {
    nvml.nvmlEventTypeXidCriticalError: ("xid", "Xid"),
    nvml.nvmlEventTypeDoubleBitEccError: ("ecc", "uncorrectable memory error (double-bit ECC)"),
    nvml.nvmlEventTypeDramRetirementEvent: ("ecc", "memory retired"),
    nvml.nvmlEventTypeDramRetirementFailure: ("ecc", "memory could not be retired"),
}
_WANTED = sum(_KINDS)

_XIDS = {
    13: "graphics engine exception, mostly a program's out-of-bounds access",
    31: "GPU memory page fault, mostly a program's bad address",
    32: "invalid or corrupted commands to the GPU, mostly by the driver or the bus",
    43: "GPU stopped processing, mostly after a program's fault",
    45: "work of a program removed, mostly after an earlier error or a kill",
    48: "uncorrectable memory error (double-bit ECC)",
    57: "the interface to the GPU's memory could not be set up",
    58: "the interface to the GPU's memory is unstable",
    62: "the GPU's microcontroller has halted",
    63: "memory row remapped, or page retired, as of the next reset",
    64: "memory row could not be remapped, nor the page retired: reset the GPU",
    69: "graphics engine refused a program's work",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    92: "many corrected (single-bit) memory errors: the memory may be wearing out",
    94: "memory error contained to one program, which has to be started anew",
    95: "memory error that may touch every program: reset the GPU",
    109: "GPU did not change from one program to another in time",
    119: "GPU firmware (GSP) does not answer",
    120: "GPU firmware (GSP) error",
    121: "error on the link between GPU and processor (C2C), over which they share memory",
    140: "uncorrectable memory error that could not be taken out of use: reset the GPU",
    154: "what it takes to recover has changed, as of the Xid beside it: the kernel's log says whether reset or reboot",
    156: "faulty part of the GPU to be taken out of use: reset the GPU",
    157: "faulty part of the GPU could not be taken out of use",
    160: "memory channel taken out of use",
    161: "memory channel could not be taken out of use",
    168: "memory errors where the firmware lies, and less memory for programs",
    171: "uncorrectable error in the GPU's memory (DRAM), which tells more of Xid 48",
    172: "uncorrectable error in the GPU's caches (SRAM), which tells more of Xid 48",
}
"""In our own words, after NVIDIA's catalog of Xids as of November 2026."""


def describe_xid(code: int) -> str:
    """What an Xid number means, as far as it is well known."""
    meaning = _XIDS.get(code)
    return f"Xid {code}: {meaning}" if meaning else f"Xid {code}"


class EventWatch:
    """One event set, registered with GPUs, and the thread that waits on it. Started once, stopped once."""

    def __init__(self, driver: Driver, wall_clock: Callable[[], float]) -> None:
        self.dropped_total = 0
        """Filled by the thread while the queue is full."""
        self._driver = driver
        self._wall_clock = wall_clock
        self._queue: deque[Event] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._set = c_void_p()
        self._gpus: dict[int, DeviceHandle] = {}

    def start(self, gpus: Iterable[DeviceHandle]) -> str | None:
        """Registers with every GPU that reports events; None, or why nothing is watched. Raises `LibraryGoneError`."""
        candidates = list(gpus)
        while True:
            failure = self._driver.attempt(_CREATE, NO_DEVICE, byref(self._set))
            if failure is not None:
                return failure.reason
            refused = self._register(candidates)
            if refused is None:
                break
            # the set of a failed registration is in no defined state: begin anew, without that GPU
            self._free()
            candidates.remove(refused)
        wait, free = self._driver.function(_WAIT), self._driver.function(_FREE)
        barred = self._driver.barred(_WAIT, NO_DEVICE)
        if wait is None or free is None or barred or not self._gpus:
            self._free()
            return barred.reason if barred else "no GPU reports events"
        self._thread = threading.Thread(target=self._run, args=(wait, free), name="nvml-events", daemon=True)
        self._thread.start()
        return None

    def drain(self) -> list[Event]:
        """The events since the last call."""
        events: list[Event] = []
        while self._queue:
            events.append(self._queue.popleft())
        return events

    def stop(self) -> None:
        """Ends the thread, which frees the set."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS_MAX)

    def _register(self, gpus: Iterable[DeviceHandle]) -> DeviceHandle | None:
        """Registers the GPUs; returns the one at which it failed."""
        self._gpus = {}
        for gpu in gpus:
            supported = c_ulonglong()
            failure = gpu.calls.make(_SUPPORTED, byref(supported))
            wanted = supported.value & _WANTED
            if failure is not None or not wanted:
                continue
            failure = gpu.calls.make(_REGISTER, c_ulonglong(wanted), self._set)
            if failure is None:
                self._gpus[gpu.calls.handle] = gpu
            elif failure.fault is not Fault.PERMANENT:
                return gpu
        return None

    def _free(self) -> None:
        self._driver.attempt(_FREE, NO_DEVICE, self._set)

    def _run(self, wait: Any, free: Any) -> None:
        """Waits until stopped. Leaves no breadcrumb, since it is not what a sample waits for."""
        data = nvml.EventData()
        milliseconds = c_uint(int(WAIT_SECONDS * 1000))
        failures = 0
        while failures < FAILURES_MAX and not self._stopping.is_set():
            started = time.monotonic()
            code: int = wait(self._set, byref(data), milliseconds)
            if code == SUCCESS:
                failures = 0
                self._enqueue(data)
                continue
            failures = 0 if code == TIMEOUT else failures + 1
            # a wait that ends early must not become a busy loop
            self._stopping.wait(WAIT_SECONDS - (time.monotonic() - started))
        free(self._set)

    def _enqueue(self, data: Any) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self.dropped_total += 1
            return
        kind, text = _KINDS.get(data.eventType, ("xid", f"event of type {data.eventType:#x}"))
        code: int = data.eventData
        is_xid = data.eventType == nvml.nvmlEventTypeXidCriticalError
        gpu = self._gpus.get(data.device or 0)
        what = describe_xid(code) if is_xid else text
        self._queue.append(
            Event(
                kind=kind,
                timestamp=self._wall_clock(),
                message=what if gpu is None else f"{gpu_name(gpu.index, None)}: {what}",
                gpu_uuid=None if gpu is None else gpu.uuid,
                code=code if is_xid else None,
            )
        )
