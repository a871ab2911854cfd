"""What a user gets by installing: the right name, the manual, the licence, and no test or tool."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from blackbox.cli import COMMANDS
from tests.built_wheel import BUILD_SECONDS_MAX, ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    built = subprocess.run(build, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
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
