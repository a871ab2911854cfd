"""How the kernels of a program that uses PyTorch are launched, where the user asks for it (`cupti`).

CUPTI, NVIDIA's profiling library, comes with PyTorch's builds for CUDA and is loaded with it. It serves one profiler
at a time, so the probe records half a second in every ten, and stops for good once the program starts its own.
"""

from __future__ import annotations

from types import ModuleType
from typing import Optional

from blackbox.agent.probe import AgentContext, Probe
from blackbox.agent.probes.cupti.probe import CuptiProbe

EXTRA = "cupti"


def make(module: ModuleType, context: AgentContext) -> Optional[Probe]:  # noqa: UP045 - evaluated by Python 3.9
    """See `ProbeFactory`."""
    if EXTRA not in context.extras or module.version.cuda is None:
        return None
    probe = CuptiProbe(module)
    probe.watch()
    return probe
