"""The probe in PyTorch: what its caching allocator holds on each GPU, block by block, and what for.

Private parts of PyTorch change; whatever a version lacks is left out of the report, and is never an error.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType
from typing import Optional

from blackbox.agent.probe import AgentContext, Probe
from blackbox.agent.probes.torch import caches
from blackbox.agent.probes.torch.probe import TorchProbe


def make(module: ModuleType, context: AgentContext) -> Optional[Probe]:  # noqa: UP045 - evaluated by Python 3.9
    """The probe for `torch`; for the module with the caches of `transformers`, hooks only."""
    torch = sys.modules["torch"]
    if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
        return None  # built for CPUs
    if module is not torch:
        caches.watch(module, torch)
        return None
    began = time.thread_time()
    probe = TorchProbe(torch, context)
    probe.watch(late=not getattr(torch.__spec__, "_initializing", False))
    context.add_cost(time.thread_time() - began)
    return probe
