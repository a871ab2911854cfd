"""What a user's type checker sees of the published package."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import blackbox
from tests import built_wheel
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

FIVE_LINES = """\
import blackbox

with blackbox.Client().stream() as stream:
    reveal_type(next(stream))
reveal_type(blackbox.Client(url="http://localhost:6767").snapshot())
reveal_type(blackbox.Client().snapshot().used_bytes)
reveal_type(blackbox.AsyncClient().snapshot())
reveal_type(blackbox.attach)
"""
SEEN = {
    4: "StreamEvent",
    5: "Snapshot",
    6: "int",
    7: "CoroutineType[Any, Any, Snapshot]",
    8: '(socket: str = "") -> None',
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel.install(tmp_path_factory.mktemp("wheel"))


def checked(program: str, python: Path, folder: Path) -> list[dict[str, Any]]:
    """What pyright says of a program of that environment. It infers nothing that a package does not declare to be
    typed, as mypy never does."""
    (folder / "program.py").write_text(program)
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"useLibraryCodeForTypes": False, "typeCheckingMode": "strict", "reportMissingModuleSource": False})
    )
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", python, "--project", folder]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    return json.loads(found.stdout)["generalDiagnostics"]


def test_a_users_type_checker_sees_the_types(python: Path, tmp_path: Path) -> None:
    told = checked(FIVE_LINES, python, tmp_path)
    assert [one["message"] for one in told if one["severity"] == "error"] == []
    revealed = {one["range"]["start"]["line"] + 1: re.findall(r'is "(.*)"', one["message"]) for one in told}
    assert revealed == {line: [text] for line, text in SEEN.items()}


def test_without_the_marker_it_would_not(python: Path, tmp_path: Path) -> None:
    """So the test above can fail."""
    marker = built_wheel.site_packages(python) / "blackbox" / "py.typed"
    marker.rename(marker.with_suffix(".away"))
    try:
        told = checked(FIVE_LINES, python, tmp_path)
    finally:
        marker.with_suffix(".away").rename(marker)
    assert not any('"Snapshot"' in one["message"] for one in told)


def test_a_mistake_is_found(python: Path, tmp_path: Path) -> None:
    told = checked("import blackbox\n\nblackbox.Client().snapshot(gpus=0)\n", python, tmp_path)
    assert any("gpus" in one["message"] for one in told)


def test_dir_tells_all_that_is_exported() -> None:
    """In a process of its own: nothing has asked for it yet."""
    code = "import blackbox; print(sorted(set(blackbox.__all__) - set(dir(blackbox))))"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    assert told.stdout == "[]\n"
    assert all(getattr(blackbox, name) is not None for name in blackbox.__all__)
