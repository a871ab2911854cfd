"""Which tests run in one process, where they run side by side (pytest-xdist)."""

import os
from collections import Counter
from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Tests side by side, `-n 4`, are handed out by whole files, whatever `--dist` says: those of one share servers,
    recordings and wheels, and what they have looked up."""
    config.option.loadscopereorder = False  # but in the order of `long_ones_first`
    return LoadFileScheduling(config, log)


def is_beside_others() -> bool:
    """This process is one of those that tests are handed out to."""
    return "PYTEST_XDIST_WORKER" in os.environ


def long_ones_first(items: list[pytest.Item]) -> None:
    """Sorts files so that none which takes long is begun last: those with slow tests, then those with many."""
    tests, slow = Counter[str](), Counter[str]()
    for item in items:
        file = item.nodeid.partition("::")[0]
        tests[file] += 1
        slow[file] += item.get_closest_marker("slow") is not None
    weights = {file: (-slow[file], -count, file) for file, count in tests.items()}
    items.sort(key=lambda item: weights[item.nodeid.partition("::")[0]])
