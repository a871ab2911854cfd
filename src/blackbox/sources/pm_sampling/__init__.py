"""Hardware counters of whole GPUs by PM sampling of NVIDIA's CUPTI, through the bindings that the user installed
(`cupti-python`, proprietary, never a dependency). Given to a process that had its GPU to itself.
"""

from blackbox.model.facts import PM_SAMPLING
from blackbox.sources.base import SourceOption, SourceSpec

PM_SAMPLING_SWITCH = SourceOption(
    "pm_sampling",
    "switch",
    False,
    "count DRAM bytes, atomics and occupancy of whole GPUs in short windows (needs cupti-python and privileges)",
)

SPEC = SourceSpec(
    "pm_sampling",
    "blackbox.sources.pm_sampling.source:PmSamplingSource",
    isolation="child",
    default=False,
    switch=PM_SAMPLING_SWITCH,
    options=(PM_SAMPLING_SWITCH,),
    facts=(PM_SAMPLING,),
    vendor="nvidia",
)
