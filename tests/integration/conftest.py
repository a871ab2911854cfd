"""The NVML source on the fake driver, in this process, on a clock of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver


@pytest.fixture
def nvml_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def nvml_stopwatch(nvml_clock: ManualClock) -> Callable[[], float]:
    """The same clock: how long the fake driver takes says how loaded this machine is."""
    return nvml_clock


@pytest.fixture
def nvml_source(
    fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock, nvml_stopwatch: Callable[[], float]
) -> Iterator[NvmlSource]:
    """The source; it must leave no handle behind."""
    source = NvmlSource(library=fake_nvml_library, clock=nvml_clock, stopwatch=nvml_stopwatch)
    yield source
    source.close()
    assert fake_driver.open_handles() == 0
