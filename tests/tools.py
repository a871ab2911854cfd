"""Programs that tests need and pip cannot give."""

import os
import shutil
from typing import NoReturn

import pytest

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


def missing(what: str) -> NoReturn:
    """Skips the test for want of something, or fails it where nothing may be missing (CI=true)."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def tool(name: str, package: str) -> str:
    """The path of a program. Where it is missing the test is skipped, or fails where nothing may be (CI=true)."""
    found = shutil.which(name, path=SEARCH_PATH)
    if found is not None:
        return found
    missing(f"no {name} (Debian: apt install {package})")
