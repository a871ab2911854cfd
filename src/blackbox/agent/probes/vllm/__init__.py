"""The probe in vLLM: the pages of its KV cache. The engine knows what they hold, its workers where they are.

Both may be one process (one GPU) or several. Hooks are placed on methods that run once; nothing is called per step of
the engine. What a version lacks is left out of the report, and is never an error.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Optional

from blackbox.agent.probe import AgentContext, Probe
from blackbox.agent.probes.vllm.hooks import after
from blackbox.agent.probes.vllm.probe import VllmProbe

_probe: Optional[VllmProbe] = None  # noqa: UP045 - as below
"""The one of this process: its hooks are placed module by module, as those are imported."""


def make(module: ModuleType, context: AgentContext) -> Optional[Probe]:  # noqa: UP045 - the Protocol's spelling, for Python 3.9
    """The probe, for the first of vLLM's modules; hooks only for the others."""
    global _probe
    known, _probe = _probe, _probe or VllmProbe(context)
    _place_hooks(module, _probe)
    return None if known else _probe


def _place_hooks(module: ModuleType, probe: VllmProbe) -> None:
    scheduler: Any = getattr(module, "Scheduler", None)
    if scheduler is not None:
        after(scheduler, "__init__", probe.engine_made)
        probe.look_for(scheduler)
    worker: Any = getattr(module, "WorkerWrapperBase", None)
    if worker is not None:
        after(worker, "initialize_from_config", probe.cache_made)
        probe.look_for(worker)
