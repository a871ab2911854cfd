"""When the driver's pids mean the processes in /proc."""

import pytest

from blackbox.sources.nvml.processes import pids_are_ours


@pytest.mark.parametrize("version", ["450.80.02", "565.57.01", "unknown: denied", ""])
def test_on_the_host_they_always_do(version: str) -> None:
    assert pids_are_ours(version, sees_host_pids=True)


@pytest.mark.parametrize(
    ("version", "ours"),
    [
        ("535.113.01", False),
        ("565.57", False),
        ("565.57.00", False),
        ("565.57.01", True),
        ("565.77", True),
        ("580.65.06", True),
        ("unknown: denied", False),
        ("", False),
    ],
)
def test_in_a_namespace_only_newer_drivers_translate(version: str, ours: bool) -> None:
    assert pids_are_ours(version, sees_host_pids=False) is ours
