"""Agent and wire run in programs of Python 3.9, though the server needs a newer one."""

import ast
import pkgutil
import subprocess
from pathlib import Path

import pytest

import blackbox.agent
import blackbox.wire
from tests.agent_rig import ROOT, other_python, plain_environment
from tests.waiting import PATIENCE_SECONDS

OLDEST = (3, 9)
IN_PROGRAMS = sorted(
    path for package in (blackbox.agent, blackbox.wire) for path in Path(package.__path__[0]).rglob("*.py")
)


@pytest.mark.parametrize("path", IN_PROGRAMS, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_it_is_written_in_the_language_of_that_version(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=OLDEST)


def test_that_version_imports_every_module() -> None:
    names = [
        module.name
        for package in (blackbox.agent, blackbox.wire)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    code = (
        f"import importlib, sys; sys.path.insert(0, {str(ROOT / 'src')!r}); list(map(importlib.import_module, {names}))"
    )
    python = other_python(".".join(map(str, OLDEST)))
    seen = subprocess.run(
        [python, "-c", code],
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (seen.returncode, seen.stderr) == (0, "")
