"""Helpers for tests of supervised sources."""

import contextlib
from pathlib import Path

import pytest

from blackbox.model.sample import Sample
from blackbox.sources.isolation.supervisor import SourceFault, SupervisedSource
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FACTORIES = "tests.integration.scripted_source"


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    return False


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def sample_again(source: SupervisedSource) -> Sample:
    """The next sample, however many faults come first."""
    sample = until(lambda: _sample_or_fault(source), "a sample that is no fault")
    assert sample is not None
    return sample


def _sample_or_fault(source: SupervisedSource) -> Sample | None:
    with contextlib.suppress(SourceFault):
        return source.sample()
    return None


def fault_of(source: SupervisedSource) -> SourceFault:
    with pytest.raises(SourceFault) as caught:
        source.sample()
    return caught.value


def states(sample: Sample) -> list[str]:
    return [device.state for device in sample.devices]
