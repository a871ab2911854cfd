"""The NVIDIA driver's management library (NVML): memory, processes, MIG instances and events of every GPU."""

from blackbox.model.facts import DRIVER_EVENTS, DRIVER_VERSION, GPM, NVML_VERSION, PID_SCOPE, PROFILING, Fact
from blackbox.sources.base import SourceOption, SourceSpec

GPM_SWITCH = SourceOption("gpm", "switch", False, "read counters of whole GPUs (Hopper and later) for nsight_metrics")
MEMORY_VERSION: Fact[str] = Fact("memory_version", "Versions of the driver's memory call in use, such as v2.")

SPEC = SourceSpec(
    "nvml",
    "blackbox.sources.nvml.source:NvmlSource",
    isolation="child",
    default=True,
    variant=(GPM_SWITCH, "blackbox.sources.nvml.source:with_gpm"),
    options=(GPM_SWITCH,),
    facts=(DRIVER_VERSION, NVML_VERSION, PID_SCOPE, PROFILING, GPM, DRIVER_EVENTS, MEMORY_VERSION),
    vendor="nvidia",
)
