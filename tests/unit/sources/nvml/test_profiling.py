"""Who may read hardware counters, as the kernel module says."""

from pathlib import Path

import pytest

from blackbox.sources.nvml.profiling import PARAMETERS, profiling_access


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
