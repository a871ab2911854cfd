"""Hardware counters of whole GPUs by PM sampling of NVIDIA's CUPTI, through the bindings that the user installed
(`cupti-python`, proprietary, never a dependency). Given to a process that had its GPU to itself.
"""

from blackbox.sources.pm_sampling.source import PmSamplingSource as PmSamplingSource
