"""Files stay whole where tests run side by side, and long ones come first."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.private_state import ROOT
from tests.waiting import PATIENCE_SECONDS
from tests.workers import long_ones_first

SEVERAL = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(10))
def test_a_part(number):
    with pathlib.Path(__file__).with_suffix(".txt").open("a") as log:
        print(os.environ["PYTEST_XDIST_WORKER"], file=log)
"""


def test_none_that_takes_long_is_begun_last() -> None:
    def item(file: str, test: int, slow: bool = False) -> Any:
        return SimpleNamespace(nodeid=f"{file}::test_{test}", get_closest_marker=lambda _: slow or None)

    many = [item("many.py", number) for number in range(3)]
    few = [item("few.py", number) for number in range(2)]
    slow = [item("slow.py", 1, slow=True), item("slow.py", 2)]
    items = [*few, *many, *slow]
    long_ones_first(items)
    assert items == [*slow, *many, *few]


def test_tests_of_a_file_run_in_one_process(tmp_path: Path) -> None:
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
