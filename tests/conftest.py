"""Fixtures of all tests."""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_nvml import FakeDriver, build, compiler
from tests.private_state import PUBLIC_PREFIX, ROOT, WriteGuard, private_user


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm", action="store_true", help="run the tests on a real vLLM, and only those")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `vllm` are a run of their own: what they need takes minutes to install."""
    wanted = config.getoption("--vllm")
    left_out = [item for item in items if (item.get_closest_marker("vllm") is not None) != wanted]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True, scope="session")
def private_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where everything lies that tests and their processes keep for a user: never where the real one has it."""
    folder = tmp_path_factory.mktemp("user")
    guard = WriteGuard(
        [
            tmp_path_factory.getbasetemp(),
            ROOT,
            PUBLIC_PREFIX,
            *map(Path, ("/dev", "/proc", sys.prefix, sys.base_prefix)),
        ]
    )
    guard.install()
    with private_user(folder):
        yield folder
    assert guard.violations == []


@pytest.fixture(scope="session")
def fake_nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled `libnvidia-ml.so.1`, loaded into this process, where its soname finds it."""
    if compiler() is None:
        message = "no C compiler for the fake driver (Debian: apt install gcc libc6-dev)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    library = build(tmp_path_factory.mktemp("nvml"))
    ctypes.CDLL(str(library))
    return library


@pytest.fixture
def fake_driver(fake_nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    """A driver without GPUs yet, seen by this process and by every child that inherits its environment."""
    with FakeDriver(tmp_path) as driver:
        for name, value in driver.environment(fake_nvml_library).items():
            monkeypatch.setenv(name, value)
        yield driver
