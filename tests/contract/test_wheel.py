"""What a user gets by installing: the right name, the manual, the licence, and no test or tool."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from blackbox.cli import COMMANDS
from blackbox.sources.memory_snapshot.compiled.building import VARIABLE, library_name
from tests.built_wheel import BUILD_SECONDS_MAX, ROOT
from tests.tools import tool

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(tmp_path_factory.mktemp("wheel"), "1")


def built(folder: Path, compiled: str) -> zipfile.ZipFile:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    environ = os.environ | {VARIABLE: compiled}
    done = subprocess.run(build, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX, check=False, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("blackbox_vram-*.whl")
    return zipfile.ZipFile(path)


def test_the_manual_is_installed_where_man_looks(wheel: zipfile.ZipFile) -> None:
    installed = {name.partition(".data/data/")[2] for name in wheel.namelist() if ".data/data/" in name}
    pages = {"blackbox.1", *(f"blackbox-{command.name}.1" for command in COMMANDS)}
    assert installed == {f"share/man/man1/{page}" for page in pages}


def test_the_distribution_says_its_name_and_brings_what_it_promises(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(wheel.read(path).decode())
    assert metadata["Name"] == "blackbox-vram"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "notify" in (metadata.get_all("Provides-Extra") or [])
    assert {Path(name).parts[0] for name in wheel.namelist()} == {
        "blackbox",
        "blackbox_agent.pth",
        path.partition("/")[0],
        path.partition("/")[0].replace(".dist-info", ".data"),
    }


def libraries(wheel: zipfile.ZipFile) -> list[str]:
    return [Path(name).name for name in wheel.namelist() if name.endswith(".so")]


def test_built_where_a_compiler_is_it_has_the_compiled_part_and_is_of_that_platform(wheel: zipfile.ZipFile) -> None:
    tool("gcc", "gcc")
    assert libraries(wheel) == [library_name()]
    assert "-py3-none-linux_" in str(wheel.filename)


def test_without_it_the_wheel_is_for_every_platform(tmp_path: Path) -> None:
    pure = built(tmp_path, "0")
    assert libraries(pure) == []
    assert str(pure.filename).endswith("-py3-none-any.whl")
