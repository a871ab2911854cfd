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


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (
            "nvidia-ml-py",
            "is of nvidia-ml-py 11.525.150, which is too old (it has no nvmlMemory_v2): run 'pip install -",
        ),
        (
            "nvidia-ml-py3",
            "not NVIDIA's own module but of nvidia-ml-py3 11.525.150 (it has no nvmlMemory_v2), and hides",
        ),
    ],
)
def test_the_package_of_bindings_that_do_not_do_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, said: str
) -> None:
    (tmp_path / "pynvml.py").touch()
    about = tmp_path / f"{package.replace('-', '_')}-11.525.150.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 11.525.150\n")
    (about / "RECORD").write_text("pynvml.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = {name: None for name in NEEDED if name != "nvmlMemory_v2"}
    with pytest.raises(ImportError) as caught:
        checked(SimpleNamespace(__file__=str(tmp_path / "pynvml.py"), **names))
    assert said in str(caught.value)
    assert f"pip uninstall {package}'" in str(caught.value) or package == "nvidia-ml-py"


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
