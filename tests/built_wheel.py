"""The wheel of this checkout, built and unpacked where nothing else is installed."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD_SECONDS_MAX = 120
"""Takes two seconds on an idle machine."""


def install(folder: Path) -> Path:
    """The interpreter of a new environment in `folder` that holds the wheel alone, not even what the server needs."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    built = subprocess.run(build, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages(python))
    return python


def site_packages(python: Path) -> Path:
    """Where packages of its environment are installed."""
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    return folder
