"""Calls on one device handle, which remember what the device refused."""

import math
from collections.abc import Callable
from ctypes import c_void_p
from typing import NamedTuple

from blackbox.sources.nvidia.driver import Driver
from blackbox.sources.nvidia.errors import Failure, Fault

DENIED_SECONDS = 120.0
"""A refused permission is asked for again this rarely: it changes by a person's hand."""


class _Refusal(NamedTuple):
    failure: Failure
    until: float


class DeviceCalls:
    """One device as the driver knows it: its handle, its index for the breadcrumb, and what it will not answer."""

    def __init__(self, driver: Driver, handle: int, index: int, clock: Callable[[], float]) -> None:
        self.handle = handle
        self.index = index
        self._driver = driver
        self._pointer = c_void_p(handle)
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}

    def make(self, name: str, *arguments: object) -> Failure | None:
        """Calls `name(handle, *arguments)`; None means success. Raises `LibraryGoneError`."""
        refusal = self._refusals.get(name)
        if refusal is not None and self._clock() < refusal.until:
            return refusal.failure
        failure = self._driver.attempt(name, self.index, self._pointer, *arguments)
        if failure is not None:
            if failure.fault is Fault.PERMANENT:
                self._refusals[name] = _Refusal(failure, math.inf)
            elif failure.fault is Fault.DENIED:
                self._refusals[name] = _Refusal(failure, self._clock() + DENIED_SECONDS)
        return failure
