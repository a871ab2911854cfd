"""The driver library, opened: calls by name, each announced, counted and timed."""

import os
import time
from collections.abc import Callable
from ctypes import CDLL
from pathlib import Path
from typing import Any

from blackbox.sources.base import DropBreadcrumb
from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.errors import (
    FUNCTION_NOT_FOUND,
    SUCCESS,
    UNINITIALIZED,
    UNLOADABLE,
    Failure,
    Fault,
    LibraryGoneError,
    failure_of,
)

NO_DEVICE = -1
"""Device index of a call that concerns no device, and in `quarantine` of one barred on all of them."""

INIT_CALL = "nvmlInitWithFlags"
_SHUTDOWN = "nvmlShutdown"
LIBRARY = "libnvidia-ml.so.1"
_ABSENT = "{}: cannot open shared object file: No such file or directory"
"""The loader's words for a file that is nowhere; all others speak of one that it found."""
_MPS_VIEW = "NVML_MPS_DEVICE_ENUMERATION"
"""Environment variable that makes the library show one MPS client's view in place of the machine."""


class Driver:
    """The library's functions.

    `open` and `close` count: the library is shut down exactly as often as it was initialised.
    """

    def __init__(
        self, library: Path | None, breadcrumb: DropBreadcrumb, stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        self.quarantine: dict[tuple[str, int], str] = {}
        """(function, device index) -> why it is not called; filled by whoever supervises this process."""
        self.calls_total = 0
        self.seconds_total = 0.0
        self._library = library
        self._breadcrumb = breadcrumb
        self._stopwatch = stopwatch
        self._loaded: CDLL | None = None
        """The library's file, which stays mapped; None before it was found."""
        self._functions: dict[str, Any] = {}
        self._is_open = False
        self._inits_open = 0
        """Initialisations not yet undone; above 1 after a shutdown that failed."""

    @property
    def is_open(self) -> bool:
        return self._is_open

    def open(self) -> Failure | None:
        """Loads and initialises the library, unless it is open."""
        if self._is_open:
            return None
        if barred := self.barred(INIT_CALL, NO_DEVICE):
            return barred
        os.environ.pop(_MPS_VIEW, None)
        self._breadcrumb(INIT_CALL, NO_DEVICE)
        if failure := self._load():
            return failure
        if (code := self._call(INIT_CALL, 0)) != SUCCESS:
            return failure_of(INIT_CALL, code)
        self._is_open = True
        self._inits_open += 1
        return None

    def _load(self) -> Failure | None:
        name = LIBRARY if self._library is None else str(self._library)
        try:
            self._loaded = self._loaded or CDLL(name)
        except OSError as error:
            if str(error) == _ABSENT.format(name):
                return failure_of(INIT_CALL, nvml.NVML_ERROR_LIBRARY_NOT_FOUND)
            return Failure(Fault.LIBRARY_GONE, f"{LIBRARY} is there, but cannot be loaded: {error}", UNLOADABLE)
        return None

    def _call(self, name: str, *arguments: int) -> int:
        """Calls a function that opens or closes; returns the driver's code."""
        function = self.function(name)
        return FUNCTION_NOT_FOUND if function is None else function(*arguments)

    def close(self) -> None:
        """Shuts the library down as often as it was initialised. Its file stays mapped: it may have threads."""
        self._is_open = False
        self._functions.clear()
        while self._inits_open and self._shut_down():
            self._inits_open -= 1

    def function(self, name: str) -> Any | None:
        """The library's function of that name, for calls on other threads; None where it has none."""
        if self._loaded is None:
            return None
        if name not in self._functions:
            try:
                # by item, not by attribute: a function object of our own, none that others in this process configure
                self._functions[name] = self._loaded[name]
            except AttributeError:
                self._functions[name] = None
        return self._functions[name]

    def attempt(self, name: str, gpu: int, *arguments: object) -> Failure | None:
        """Calls a function; None means success. Raises `LibraryGoneError` when the library must be opened again."""
        if self.quarantine and (barred := self.barred(name, gpu)):
            return barred
        function = self._functions.get(name) or self.function(name)
        if function is None:
            return failure_of(name, FUNCTION_NOT_FOUND)
        self._breadcrumb(name, gpu)
        started = self._stopwatch()
        code: int = function(*arguments)
        self.seconds_total += self._stopwatch() - started
        self.calls_total += 1
        if code == SUCCESS:
            return None
        failure = failure_of(name, code)
        if failure.fault is Fault.LIBRARY_GONE:
            raise LibraryGoneError(failure)
        return failure

    def _shut_down(self) -> bool:
        if self.barred(_SHUTDOWN, NO_DEVICE):
            return False
        self._breadcrumb(_SHUTDOWN, NO_DEVICE)
        return self._call(_SHUTDOWN) in (SUCCESS, UNINITIALIZED)

    def barred(self, name: str, gpu: int) -> Failure | None:
        """The failure of a call in quarantine; None for any other."""
        reason = self.quarantine.get((name, gpu)) or self.quarantine.get((name, NO_DEVICE))
        return Failure(Fault.QUARANTINED, reason) if reason else None
