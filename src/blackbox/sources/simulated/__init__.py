"""A simulated machine, for demonstrations and tests without a GPU; every sample says so."""

from blackbox.sources.simulated.source import SimulatedSource

__all__ = ["SimulatedSource"]
