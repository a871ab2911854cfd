"""GPM, the counters that GPUs from Hopper on keep beside the profiler: one device's, between two readings."""

from ctypes import byref, c_uint, c_void_p
from typing import Any, NamedTuple

from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.driver import NO_DEVICE, Driver
from blackbox.sources.nvidia.errors import SUCCESS, Failure, Fault, LibraryGoneError, failure_of

BITS_PER_BYTE = 8
TRANSFERS_PER_CLOCK = 2
"""Double data rate, as every memory of these GPUs has it."""
HERTZ_PER_MEGAHERTZ = 1_000_000

_SUPPORT = "nvmlGpmQueryDeviceSupport"
_ALLOCATE, _FREE, _TAKE = "nvmlGpmSampleAlloc", "nvmlGpmSampleFree", "nvmlGpmSampleGet"
_COMPARE = "nvmlGpmMetricsGet"
_CLOCK, _BUS_WIDTH = "nvmlDeviceGetMaxClockInfo", "nvmlDeviceGetMemoryBusWidth"
_METRICS: tuple[int, int] = (nvml.NVML_GPM_METRIC_SM_OCCUPANCY, nvml.NVML_GPM_METRIC_DRAM_BW_UTIL)
_TOO_OLD = Failure(Fault.PERMANENT, "the GPU has no GPM, which came with Hopper")


class GpmReading(NamedTuple):
    """Means over the time since the reading before."""

    occupancy_percent: float
    """Warps active, of those that fit."""
    dram_percent: float
    """Of the peak bandwidth of the memory, both directions together."""


class GpmReader:
    """One whole GPU. Its two samples are the driver's memory; `close` gives them back while the library is open."""

    def __init__(self, driver: Driver, calls: DeviceCalls) -> None:
        self.calls = calls
        self._driver = driver
        self._samples: list[Any] = []
        """The earlier one and the later one; swapped after each reading."""
        self._is_begun = False
        """There is an earlier reading to compare with."""
        self._is_supported = False
        self._request = nvml.GpmMetrics(version=nvml.NVML_GPM_METRICS_GET_VERSION, numMetrics=len(_METRICS))
        for place, metric in enumerate(_METRICS):
            self._request.metrics[place].metricId = metric
        self._number = c_uint()

    def read(self) -> GpmReading | Failure | None:
        """What was counted since the last call; None the first time. Raises `LibraryGoneError`."""
        failure = self._prepare() or self.calls.make(_TAKE, self._samples[1])
        if failure is not None:
            self._is_begun = False
            return failure
        reading = self._compare() if self._is_begun else None
        self._samples.reverse()
        self._is_begun = True
        return reading

    def forget(self) -> None:
        """The next reading is a first one."""
        self._is_begun = False

    def peak_bytes_per_second(self) -> int | Failure:
        """What the memory could move at its highest clock. Raises `LibraryGoneError`."""
        failure = self.calls.make(_CLOCK, c_uint(nvml.NVML_CLOCK_MEM), byref(self._number))
        megahertz = self._number.value
        failure = failure or self.calls.make(_BUS_WIDTH, byref(self._number))
        if failure is not None:
            return failure
        return megahertz * HERTZ_PER_MEGAHERTZ * TRANSFERS_PER_CLOCK * self._number.value // BITS_PER_BYTE

    def close(self) -> None:
        """Gives the samples back."""
        while self._samples:
            sample = self._samples.pop()
            try:
                self._driver.attempt(_FREE, NO_DEVICE, sample)
            except LibraryGoneError:
                self._samples.clear()
        self._is_begun = False

    def _prepare(self) -> Failure | None:
        if not self._is_supported:
            support = nvml.GpmSupport(version=nvml.NVML_GPM_SUPPORT_VERSION)
            failure = self.calls.make(_SUPPORT, byref(support))
            if failure is not None or not support.isSupportedDevice:
                return failure or _TOO_OLD
            self._is_supported = True
        while len(self._samples) < 2:
            sample = c_void_p()
            failure = self._driver.attempt(_ALLOCATE, NO_DEVICE, byref(sample))
            if failure is not None:
                return failure
            self._samples.append(sample)
        return None

    def _compare(self) -> GpmReading | Failure:
        self._request.sample1, self._request.sample2 = self._samples
        failure = self._driver.attempt(_COMPARE, self.calls.index, byref(self._request))
        if failure is not None:
            return failure
        values: list[float] = []
        for metric in self._request.metrics[: len(_METRICS)]:
            if metric.nvmlReturn != SUCCESS:
                return failure_of(f"{_COMPARE} of metric {metric.metricId}", metric.nvmlReturn)
            if not 0 <= metric.value <= 100:
                return Failure(Fault.INVALID, f"the driver answered an impossible percentage: {metric.value}")
            values.append(metric.value)
        return GpmReading(*values)
