"""PM sampling, with the names of cupti-python 13.4. What a GPU counts, and what goes wrong, is the JSON of a variable:
`samples` (a list of [nanoseconds, {metric: value}]), `old` (no trigger by time), `error` ([method, exception, text]),
`log` (a file that gets a line per call).
"""

import json
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

VARIABLE = "FAKE_PM_SAMPLING"
COMMON = (
    "sm__cycles_active.avg",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
    "sm__ctas_active.sum.per_cycle_active",
    "lts__t_requests_op_atom.sum",
    "lts__t_requests_op_red.sum",
)
ERRORS = {
    "PermissionError": PermissionError,
    "RuntimeError": RuntimeError,
    "MemoryError": MemoryError,
    "ValueError": ValueError,
}


class TriggerMode(IntEnum):
    GPU_SYSCLK_INTERVAL = 0
    GPU_TIME_INTERVAL = 1


@dataclass(frozen=True)
class Sample:
    start_timestamp: int
    end_timestamp: int
    metric_values: list[float]


class Collector:
    def __init__(self, device_index: int = 0) -> None:
        self._device_index = device_index
        self._metrics: list[str] = []
        self._enabled = self._started = False

    def enable(self) -> None:
        assert not self._enabled
        self._call("enable")
        self._enabled = True

    def configure(
        self,
        *,
        metrics: list[str],
        hardware_buffer_size: int = 512 * 1024 * 1024,
        sampling_interval: int = 10_000,
        trigger_mode: TriggerMode = TriggerMode.GPU_TIME_INTERVAL,
    ) -> None:
        assert self._enabled
        assert hardware_buffer_size > 0
        assert sampling_interval > 0
        self._call("configure", trigger_mode.name)
        if _script().get("old") and trigger_mode == TriggerMode.GPU_TIME_INTERVAL:
            raise ValueError("TriggerMode.GPU_TIME_INTERVAL is not supported on this GPU")
        known = {*COMMON, *(name for _, values in _script().get("samples", []) for name in values)}
        if not set(metrics) <= known:
            raise ValueError(f"Invalid metrics: {sorted(set(metrics) - known)}")
        self._metrics = metrics

    def start(self) -> None:
        assert self._metrics
        self._call("start")
        self._started = True

    def stop(self) -> None:
        assert self._started
        self._call("stop")
        self._started = False

    def decode(self, max_samples: int = 10_000) -> list[Sample]:
        self._call("decode")
        at = 1_000
        samples: list[Sample] = []
        for nanoseconds, values in _script()["samples"][:max_samples]:
            samples.append(Sample(at, at + nanoseconds, [float(values.get(name, 0)) for name in self._metrics]))
            at += nanoseconds
        return samples

    def disable(self) -> None:
        self._call("disable")
        self._enabled = self._started = False

    def _call(self, name: str, *words: str) -> None:
        script = _script()
        if "log" in script:
            with Path(script["log"]).open("a") as log:
                print(self._device_index, name, *words, file=log)
        method, kind, text = script.get("error", ("", "", ""))
        if name == method:
            raise ERRORS[kind](text)


def _script() -> dict[str, Any]:
    return json.loads(os.environ[VARIABLE])
