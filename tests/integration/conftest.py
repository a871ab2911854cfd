"""The NVML source on the fake driver, in this process, on a clock of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.sources.nvml.source import NvmlSource
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver


@pytest.fixture
def nvml_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def nvml_source(fake_driver: FakeDriver, fake_nvml_library: Path, nvml_clock: ManualClock) -> Iterator[NvmlSource]:
    """The source; it must leave no handle behind."""
    source = NvmlSource(library=fake_nvml_library, clock=nvml_clock)
    yield source
    source.close()
    assert fake_driver.open_handles() == 0
