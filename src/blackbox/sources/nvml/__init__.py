"""The NVIDIA driver's management library (NVML): memory, processes, MIG instances and events of every GPU."""

from blackbox.sources.nvml.source import NvmlSource

__all__ = ["NvmlSource"]
