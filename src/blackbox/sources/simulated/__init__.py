"""A simulated machine, for demonstrations and tests without a GPU; every sample says so."""

from blackbox.model.facts import DRIVER_VERSION, NVML_VERSION, PID_SCOPE
from blackbox.sources.base import SourceSpec

SPEC = SourceSpec(
    "simulated",
    "blackbox.sources.simulated.source:make",
    isolation="thread",
    default=False,
    facts=(DRIVER_VERSION, NVML_VERSION, PID_SCOPE),
    simulated=True,
)
