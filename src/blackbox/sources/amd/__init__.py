"""AMD's GPUs, as the kernel's driver amdgpu tells of them in /sys and /proc; no library of ROCm is needed
(docs/decisions/0005-amd.md).
"""

from blackbox.model.facts import DRIVER_VERSION, PID_SCOPE, PROFILING
from blackbox.sources.base import SourceSpec

SPEC = SourceSpec(
    "amd",
    "blackbox.sources.amd.source:AmdSource",
    isolation="child",
    default=True,
    facts=(DRIVER_VERSION, PID_SCOPE, PROFILING),
    vendor="amd",
)
