"""Which tests run in one process, where they run side by side (pytest-xdist)."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

SHARING = ("contract", "integration", "gpu", "browser")
"""Folders whose files share servers, recordings and wheels among their tests: each file stays with one worker."""
SHARED_FIXTURE = 'fixture(scope="module")'
"""In the text of a file elsewhere: what it makes is worth sharing, so that one worker makes it and not each."""
ROOT = Path(__file__).parents[1]


class FileByFile(LoadScopeScheduling):
    """Hands out whole files of those that share, and then the other tests one by one.

    Marks (`xdist_group`) would do, but pytest 9.2 no longer lets a plugin rename tests, by which xdist 3.8 carries them
    to who hands out: all tests go one by one, without a word (findings/pytest_xdist_groups.sh).
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.split("/")[1] in SHARING or _has_shared_fixture(file) else nodeid


@cache
def _has_shared_fixture(file: str) -> bool:
    return SHARED_FIXTURE in (ROOT / file).read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Tests side by side: `-n 4`, whatever `--dist` says."""
    return FileByFile(config, log)
