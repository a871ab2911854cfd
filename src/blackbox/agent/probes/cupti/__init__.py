"""The probe in the kernels of a program that uses PyTorch, where asked for (`cupti`): how they are launched.

CUPTI, NVIDIA's profiling library, comes with PyTorch's builds for CUDA and is loaded with it. It serves one profiler
at a time, so this one looks for half a second in every ten, and is silent for good once the program starts its own.
"""

from __future__ import annotations

from types import ModuleType
from typing import Optional

from blackbox.agent.probe import Desk, Probe
from blackbox.agent.probes.cupti.probe import CuptiProbe

EXTRA = "cupti"


def make(module: ModuleType, desk: Desk) -> Optional[Probe]:  # noqa: UP045 - evaluated by Python 3.9
    """See `Make`."""
    if EXTRA not in desk.extras or module.version.cuda is None:
        return None
    probe = CuptiProbe(module)
    probe.watch()
    return probe
