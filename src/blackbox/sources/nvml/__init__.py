"""The NVIDIA driver's management library (NVML): memory, processes, MIG instances and events of every GPU."""

from blackbox.sources.nvml.driver import Breadcrumb
from blackbox.sources.nvml.source import NvmlSource

__all__ = ["NvmlSource", "with_gpm"]


def with_gpm(breadcrumb: Breadcrumb) -> NvmlSource:
    """The source that makes profiling calls as well."""
    return NvmlSource(breadcrumb=breadcrumb, gpm=True)
