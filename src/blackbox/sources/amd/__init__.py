"""AMD's GPUs, as the kernel's driver amdgpu tells of them in /sys and /proc; no library of ROCm is needed
(docs/decisions/0005-amd.md).
"""

from blackbox.sources.amd.source import AmdSource as AmdSource
