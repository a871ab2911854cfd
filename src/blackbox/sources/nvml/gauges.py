"""What a device tells beside its memory: utilisation, temperature, power."""

from ctypes import byref, c_uint
from typing import NamedTuple

from blackbox.sources.nvidia import nvml
from blackbox.sources.nvidia.device_calls import DeviceCalls
from blackbox.sources.nvidia.errors import Failure, Fault

SLOW_INTERVAL_SECONDS = 1.0
"""Temperature and power come from sensors behind firmware, 10 to 100 times slower than a counter."""
TEMPERATURE_CELSIUS_MIN, TEMPERATURE_CELSIUS_MAX = -50, 200
POWER_WATTS_MAX = 10_000.0
"""Above any device there is; a 32-bit sentinel in milliwatts lies above too."""

_UTILIZATION = "nvmlDeviceGetUtilizationRates"
_TEMPERATURE = "nvmlDeviceGetTemperatureV"
_TEMPERATURE_BEFORE_V = "nvmlDeviceGetTemperature"
_POWER = "nvmlDeviceGetPowerUsage"


class Gauges(NamedTuple):
    utilization_percent: float | None
    temperature_celsius: float | None
    power_watts: float | None
    unknown: dict[str, str]


class GaugeReader:
    """Reads one whole GPU; a MIG instance has no gauges of its own."""

    def __init__(self, calls: DeviceCalls) -> None:
        self._calls = calls
        self._utilization = nvml.Utilization()
        self._utilization_reference = byref(self._utilization)
        self._temperature = nvml.Temperature(version=nvml.nvmlTemperature_v1, sensorType=nvml.NVML_TEMPERATURE_GPU)
        self._temperature_reference = byref(self._temperature)
        self._number = c_uint()
        self._number_reference = byref(self._number)
        self._slow_at = -SLOW_INTERVAL_SECONDS
        self._slow: tuple[float | Failure, float | Failure] | None = None

    def read(self, now: float) -> Gauges:
        """The gauges; the slow ones at most `SLOW_INTERVAL_SECONDS` old."""
        if self._slow is None or now - self._slow_at >= SLOW_INTERVAL_SECONDS:
            self._slow_at = now
            self._slow = (self._read_temperature(), self._read_power())
        temperature, power = self._slow
        unknown: dict[str, str] = {}
        return Gauges(
            _value("utilization_percent", self._read_utilization(), unknown),
            _value("temperature_celsius", temperature, unknown),
            _value("power_watts", power, unknown),
            unknown,
        )

    def _read_utilization(self) -> float | Failure:
        failure = self._calls.make(_UTILIZATION, self._utilization_reference)
        if failure is not None:
            return failure
        return _within("utilisation", self._utilization.gpu, 0, 100)

    def _read_temperature(self) -> float | Failure:
        failure = self._calls.make(_TEMPERATURE, self._temperature_reference)
        celsius: int = self._temperature.temperature
        if failure is not None and failure.fault is Fault.PERMANENT:
            failure = self._calls.make(_TEMPERATURE_BEFORE_V, nvml.NVML_TEMPERATURE_GPU, self._number_reference)
            celsius = self._number.value
        if failure is not None:
            return failure
        return _within("temperature", celsius, TEMPERATURE_CELSIUS_MIN, TEMPERATURE_CELSIUS_MAX)

    def _read_power(self) -> float | Failure:
        failure = self._calls.make(_POWER, self._number_reference)
        if failure is not None:
            return failure
        return _within("power", self._number.value / 1000, 0, POWER_WATTS_MAX)


def _within(noun: str, value: float, low: float, high: float) -> float | Failure:
    if low <= value <= high:
        return float(value)
    return Failure(Fault.INVALID, f"the driver answered an impossible {noun}: {value}")


def _value(key: str, value: float | Failure, unknown: dict[str, str]) -> float | None:
    """The value, or None with its reason noted in `unknown`."""
    if isinstance(value, Failure):
        unknown[key] = value.reason
        return None
    return value
