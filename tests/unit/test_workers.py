"""Files whose tests share a server stay whole where tests run side by side."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.private_state import ROOT
from tests.waiting import PATIENCE_SECONDS
from tests.workers import FileByFile

SEVERAL = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(10))
def test_a_part(number):
    with pathlib.Path(__file__).with_suffix(".txt").open("a") as log:
        print(os.environ["PYTEST_XDIST_WORKER"], file=log)
"""


@pytest.mark.parametrize(
    ("test", "together"),
    [
        ("tests/integration/test_http_vram.py::test_one", "tests/integration/test_http_vram.py"),
        ("tests/browser/test_views.py::test_view[a/b::c@d]", "tests/browser/test_views.py"),
        ("tests/unit/sources/simulated/test_machine.py::test_one", "tests/unit/sources/simulated/test_machine.py"),
        ("tests/unit/test_paths.py::test_one[1]", "tests/unit/test_paths.py::test_one[1]"),
    ],
)
def test_a_file_that_shares_is_handed_out_whole(test: str, together: str) -> None:
    assert FileByFile.__new__(FileByFile)._split_scope(test) == together


def test_its_tests_run_in_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "integration"
    folder.mkdir(parents=True)
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "conftest.py").write_text("from tests.workers import pytest_xdist_make_scheduler\n")
    for name in ("one", "other"):
        (folder / f"test_{name}.py").write_text(SEVERAL)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--import-mode=importlib"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=env | {"PYTHONPATH": str(ROOT)},
        timeout=PATIENCE_SECONDS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("one", "other"):
        workers = (folder / f"test_{name}.txt").read_text().split()
        assert workers == workers[:1] * 10
