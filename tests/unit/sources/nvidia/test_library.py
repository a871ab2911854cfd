"""Whose pids the driver lists, and who may read its counters."""

import re
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from blackbox import sources
from blackbox.sources.nvidia.library import NEEDED, PARAMETERS, checked, pids_are_ours, profiling_access

USED = re.compile(r"\bnvml\.(NVML\w+|c_nvml\w+|nvml\w+)")


def test_all_that_is_used_of_the_bindings_is_asked_for_at_the_start() -> None:
    folder = Path(sources.__file__).parent
    used = {name for file in folder.rglob("*.py") for name in USED.findall(file.read_text())}
    assert used == set(NEEDED)
    assert checked(pynvml) is pynvml


@pytest.mark.parametrize("missing", ["nvmlTemperature_v1", "nvmlMemory_v2", "NVMLError"])
def test_another_package_in_the_place_of_the_bindings_is_named_with_its_remedy(missing: str) -> None:
    names = {name: None for name in NEEDED if name != missing}
    other = SimpleNamespace(__file__="/venv/site-packages/pynvml/__init__.py", **names)
    with pytest.raises(ImportError) as caught:
        checked(other)
    for part in ("/venv/site-packages/pynvml/__init__.py", missing, "pip uninstall pynvml"):
        assert part in str(caught.value)


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
