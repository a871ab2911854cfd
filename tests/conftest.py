"""Fixtures of all tests."""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fake_nvml import FakeDriver, build, compiler
from tests.private_state import PUBLIC_PREFIX, ROOT, WriteGuard, private_user
from tests.workers import is_beside_others, long_ones_first
from tests.workers import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler  # a hook

TEST_SECONDS_MAX = 600
"""Of one test with its fixtures: only a hung one takes so long, on however loaded a machine."""
SLOW_TEST_SECONDS_MAX = 1800
"""Of one that is known to take long; vLLM is installed in it."""

settings.register_profile(
    "blackbox",
    deadline=None,  # how long an example takes tells of the machine
    suppress_health_check=[HealthCheck.too_slow],  # likewise
    derandomize=os.environ.get("CI") == "true",  # a change is judged by the same examples each time
    print_blob=True,
)
settings.register_profile("quick", settings.get_profile("blackbox"), max_examples=30)  # ./run test --quick
settings.load_profile("blackbox")


OWN_RUNS = ("vllm", "frameworks")
"""Markers, and the options that ask for their tests and no others."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm", action="store_true", help="run the tests on a real vLLM, and only those")
    parser.addoption("--frameworks", action="store_true", help="run the tests on real frameworks, and only those")


def pytest_configure() -> None:
    """Programs under test can be interrupted, also where a shell started the tests behind `&` and so told them, and all
    that they start, to ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `vllm` or `frameworks` are runs of their own: what they need takes minutes to install. Side by side
    long ones come first."""
    left_out = [
        item
        for item in items
        if any((item.get_closest_marker(name) is not None) != config.getoption(f"--{name}") for name in OWN_RUNS)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
    if is_beside_others():
        long_ones_first(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests, and what they import, live to the end: no collection of garbage looks through them again,
    nor does what is tested find them among its own objects."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    """Gives each test its time-out, unless that plugin is off (`-p no:timeout`, in a debugger); a browser is slow."""
    if item.nodeid.startswith("tests/browser/"):
        item.add_marker(pytest.mark.slow)
    if item.config.pluginmanager.hasplugin("timeout"):
        takes_long = any(map(item.get_closest_marker, ("slow", *OWN_RUNS, "gpu")))
        item.add_marker(pytest.mark.timeout(SLOW_TEST_SECONDS_MAX if takes_long else TEST_SECONDS_MAX))


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
