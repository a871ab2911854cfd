"""The NVML source on the fake driver, in this process, on a clock of its own; a fleet's tables on two nodes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blackbox.sources.nvml.source import NvmlSource
from tests.clickhouse_rig import ClickHouse
from tests.clocks import ManualClock
from tests.fake_nvml import FakeDriver
from tests.fleet_rig import fleet_nodes


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


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouse]]:
    """Of the tests of one file, with the tables of a fleet, which its tests share."""
    with fleet_nodes(tmp_path_factory.mktemp("clickhouse")) as nodes:
        yield nodes
