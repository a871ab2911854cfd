"""Whose pids the driver lists, and who may read its counters."""

from pathlib import Path

import pytest

from blackbox.sources.nvidia.library import PARAMETERS, pids_are_ours, profiling_access


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RmProfilingAdminOnly: 1\n", "administrators"),
        ("ModifyDeviceFiles: 1\nRmProfilingAdminOnly: 0\n", "everyone"),
        ("RmProfilingAdminOnly: 10\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_parameter_tells(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / PARAMETERS
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert profiling_access(tmp_path) == expected


def test_without_the_module_it_is_unknown(tmp_path: Path) -> None:
    assert profiling_access(tmp_path) == "unknown"
