"""One window of PM sampling on one GPU, through NVIDIA's bindings."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

INTERVAL_NANOSECONDS = 1_000_000
"""Between samples: few enough of them to evaluate."""
INTERVAL_CYCLES = 1_500_000
"""The same on GPUs that count cycles of the system's clock only (Turing, A100): about a millisecond."""
BUFFER_BYTES = 64 * 1024 * 1024
"""Perhaps on the device, while a window is open."""
SAMPLES_MAX = 1024
DRAM = ("dram__bytes_read.sum", "dram__bytes_write.sum")
DRAM_OF_GB20X = ("dram__bytes_op_read.sum", "dram__bytes_op_write.sum")
"""The names of the same on GPUs of the RTX 50 series."""
NO_DRAM = ()
"""Of a chip that has no counters of its memory, such as those that use the machine's."""
OTHERS = (
    "sm__cycles_active.avg",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
    "sm__ctas_active.sum.per_cycle_active",
    "lts__t_requests_op_atom.sum",
    "lts__t_requests_op_red.sum",
)
"""All of them together fit into one pass on six chips from Turing to Blackwell (docs/decisions/0006-pm-sampling.md)."""
MODULE = "cupti.pm_sampling"
INSTALL = "cupti-python is not installed in Blackbox's environment: pip install cupti-python (NVIDIA's, proprietary)"


class PmSamplingError(Exception):
    """Its text says why there are no figures, for people."""


class NotOfferedError(PmSamplingError):
    """This GPU never counts what is wanted: no fault of anybody's."""


class DeniedError(PmSamplingError):
    """Not to this user."""


class Interval(NamedTuple):
    """What was counted between two samples, in the order of `DRAM` and `OTHERS`."""

    nanoseconds: int
    read_bytes: float | None
    """None where the chip does not count it, as is `write_bytes`."""
    write_bytes: float | None
    active_cycles: float
    """Of a multiprocessor, on average."""
    occupancy_percent: float
    """While a multiprocessor had work; not a number where none had."""
    blocks: float
    """Thread blocks on the whole GPU, likewise."""
    atomics: float
    """Requests to the L2 cache: atomics that answer, and those that do not (reductions)."""
    reductions: float


class Collector:
    """One GPU, by its number in CUDA. `open` claims the counters, `close` gives them back."""

    def __init__(self, ordinal: int) -> None:
        """Raises `PmSamplingError` where the bindings are not installed."""
        self._bindings = _import()
        self._collector: Any = self._bindings.Collector(ordinal)
        self._has_dram = True
        """As configured last."""

    def open(self) -> None:
        """Claims the counters and starts. Raises `PmSamplingError`."""
        with _Translated():
            self._collector.enable()
        try:
            with _Translated():
                self._configure()
                self._collector.start()
        except BaseException:
            self.close()
            raise

    def read(self) -> list[Interval]:
        """Stops; what was counted since `open`. Raises `PmSamplingError`."""
        with _Translated():
            self._collector.stop()
            samples = self._collector.decode(max_samples=SAMPLES_MAX)
            return [self._interval(sample) for sample in samples]

    def close(self) -> None:
        """Gives the counters back. Raises `PmSamplingError`."""
        with _Translated():
            self._collector.disable()

    def _interval(self, sample: Any) -> Interval:
        dram: tuple[None, ...] = () if self._has_dram else (None, None)
        return Interval._make((sample.end_timestamp - sample.start_timestamp, *dram, *sample.metric_values))

    def _configure(self) -> None:
        trigger = self._bindings.TriggerMode
        attempts = (
            (DRAM, trigger.GPU_TIME_INTERVAL, INTERVAL_NANOSECONDS),
            (DRAM_OF_GB20X, trigger.GPU_TIME_INTERVAL, INTERVAL_NANOSECONDS),
            (DRAM, trigger.GPU_SYSCLK_INTERVAL, INTERVAL_CYCLES),
            (NO_DRAM, trigger.GPU_TIME_INTERVAL, INTERVAL_NANOSECONDS),
            (NO_DRAM, trigger.GPU_SYSCLK_INTERVAL, INTERVAL_CYCLES),
        )
        refusals: list[str] = []
        for dram, mode, interval in attempts:
            try:
                self._collector.configure(
                    metrics=[*dram, *OTHERS],
                    hardware_buffer_size=BUFFER_BYTES,
                    sampling_interval=interval,
                    trigger_mode=mode,
                )
            except ValueError as error:  # a metric this chip does not have, or a trigger
                refusals.append(_line(error))
            else:
                self._has_dram = bool(dram)
                return
        raise NotOfferedError(f"this GPU does not count what is wanted: {refusals[0]}")


class _Translated:
    """Turns what the bindings raise into `PmSamplingError`."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, PermissionError):
            raise DeniedError(
                "the driver keeps counters for administrators: give the server CAP_PERFMON, or load the kernel module "
                "with NVreg_RestrictProfilingToAdminUsers=0"
            ) from None
        if isinstance(error, MemoryError):
            raise PmSamplingError("more was counted than the buffer holds") from None
        if isinstance(error, Exception) and not isinstance(error, PmSamplingError):
            raise PmSamplingError(_line(error)) from None


def _import() -> Any:
    try:
        return importlib.import_module(MODULE)
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "cupti"
        raise PmSamplingError(INSTALL if missing else f"cupti-python does not work here: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:300] or type(error).__name__
