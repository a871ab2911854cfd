"""Helpers for tests of supervised sources."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blackbox.model.sample import Sample
from blackbox.sources.isolation.supervisor import SourceFault, SupervisedSource

ROOT = Path(__file__).parents[2]
FACTORIES = "tests.integration.scripted_source"
PATIENCE_SECONDS = 20.0


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    return False


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def eventually(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.01)


def sample_again(source: SupervisedSource) -> Sample:
    """The next sample, however many faults come first."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return source.sample()
        except SourceFault:
            assert time.monotonic() < until, "no sample in time"
            time.sleep(0.02)


def fault_of(source: SupervisedSource) -> SourceFault:
    with pytest.raises(SourceFault) as caught:
        source.sample()
    return caught.value


def states(sample: Sample) -> list[str]:
    return [device.state for device in sample.devices]
