"""Static facts that a source states about itself or its driver, each declared once: who states it and who reads it
name the same object, not a text.

On the wire, in recordings and in answers they stay texts under their keys (`Sample.facts`, `SourceStatus.facts`).
"""

from collections.abc import Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast, get_args

T = TypeVar("T", bound=str)

PidScope = Literal["host", "namespace", "simulated"]
ProfilingAccess = Literal["everyone", "administrators", "unknown", "none"]
Switch = Literal["on", "off"]


class Fact(NamedTuple, Generic[T]):
    """One fact."""

    key: str
    help: str
    values: tuple[T, ...] = ()
    """All that may be stated; empty where any text may."""

    def of(self, facts: Mapping[str, str]) -> T | None:
        """What is stated; None where nothing is, or nothing that this version knows."""
        value = facts.get(self.key)
        return None if value is None or (self.values and value not in self.values) else cast("T", value)

    def stated(self, value: T) -> tuple[str, str]:
        """The entry that states it."""
        return self.key, value


DRIVER_VERSION: Fact[str] = Fact("driver_version", "Version of the kernel's driver, or why it is unknown.")
NVML_VERSION: Fact[str] = Fact("nvml_version", "Version of NVIDIA's library, or why it is unknown.")
PID_SCOPE: Fact[PidScope] = Fact("pid_scope", "Whose pids the source speaks of.", get_args(PidScope))
PROFILING: Fact[ProfilingAccess] = Fact(
    "profiling", "Who may read hardware counters; none where there are none to read.", get_args(ProfilingAccess)
)
GPM: Fact[Switch] = Fact("gpm", "Whether counters of whole GPUs (GPM) are read.", get_args(Switch))
PM_SAMPLING: Fact[Switch] = Fact("pm_sampling", "Whether windows of PM sampling are taken.", get_args(Switch))
DRIVER_EVENTS: Fact[str] = Fact("events", "`watched` where the driver's events are listened for, else why not.")
DRIVER_EVENTS_WATCHED = "watched"

FACTS: tuple[Fact[Any], ...] = (
    DRIVER_VERSION,
    NVML_VERSION,
    PID_SCOPE,
    PROFILING,
    GPM,
    PM_SAMPLING,
    DRIVER_EVENTS,
)
"""Those that somebody other than their source reads."""
