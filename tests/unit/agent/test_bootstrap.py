"""Watching imports changes nothing about them."""

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

import blackbox
from blackbox.agent.bootstrap import ImportWatch
from tests.waiting import PATIENCE_SECONDS

NAMES = ("watched_one", "watched_package", "watched_package.inner", "watched_broken", "unwatched")


@pytest.fixture
def started() -> list[tuple[str, Sequence[str]]]:
    return []


@pytest.fixture
def watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[tuple[str, Sequence[str]]]
) -> Iterator[ImportWatch]:
    (tmp_path / "watched_one.py").write_text("value = 1\nloader_while_running = __loader__\nspec = __spec__")
    (tmp_path / "watched_package").mkdir()
    (tmp_path / "watched_package" / "__init__.py").write_text("from watched_package import inner")
    (tmp_path / "watched_package" / "inner.py").write_text("")
    (tmp_path / "watched_broken.py").write_text("raise LookupError('mine')")
    (tmp_path / "unwatched.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def start(module: ModuleType, probes: Sequence[str]) -> None:
        started.append((module.__name__, probes))

    watch = ImportWatch({name: [f"probe of {name}"] for name in NAMES[:-1]}, start)
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    yield watch
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("watch")
def test_a_module_is_told_of_after_it_has_run(started: list[tuple[str, Sequence[str]]]) -> None:
    module = importlib.import_module("watched_one")
    importlib.import_module("unwatched")
    assert started == [("watched_one", ["probe of watched_one"])]
    assert module.value == 1


def test_a_family_of_modules_is_told_of_by_name(
    watch: ImportWatch, monkeypatch: pytest.MonkeyPatch, started: list[tuple[str, Sequence[str]]]
) -> None:
    family = ImportWatch({"watched_package.*inn": ["probe"]}, watch._start)
    monkeypatch.setattr(sys, "meta_path", [family, *[one for one in sys.meta_path if one is not watch]])
    importlib.import_module("watched_package")
    importlib.import_module("watched_one")
    assert started == [("watched_package.inner", ["probe"])]
    family.start_loaded()
    assert started == [("watched_package.inner", ["probe"])] * 2


@pytest.mark.usefixtures("watch")
def test_the_module_never_sees_a_loader_that_is_not_its_own() -> None:
    module = importlib.import_module("watched_one")
    loader = module.__loader__
    assert type(loader).__name__ == "SourceFileLoader"
    assert module.loader_while_running is loader
    assert module.spec.loader is loader
    assert importlib.util.find_spec("watched_one") is module.spec


@pytest.mark.usefixtures("watch")
def test_a_package_is_started_after_its_parts(started: list[tuple[str, Sequence[str]]]) -> None:
    importlib.import_module("watched_package")
    assert [name for name, _ in started] == ["watched_package.inner", "watched_package"]


@pytest.mark.usefixtures("watch")
def test_an_import_that_fails_fails_as_it_would(started: list[tuple[str, Sequence[str]]]) -> None:
    with pytest.raises(LookupError, match="mine"):
        importlib.import_module("watched_broken")
    assert started == []
    assert "watched_broken" not in sys.modules


@pytest.mark.usefixtures("watch")
def test_looking_for_a_module_starts_nothing(started: list[tuple[str, Sequence[str]]]) -> None:
    spec = importlib.util.find_spec("watched_one")
    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.get_source("watched_one").startswith("value = 1")  # type: ignore[attr-defined]
    assert started == []


def test_a_module_that_is_nowhere_is_not_found(watch: ImportWatch) -> None:
    watch._probes["nowhere_at_all"] = []
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nowhere_at_all")


def test_what_is_loaded_already_is_started_late(watch: ImportWatch, started: list[tuple[str, Sequence[str]]]) -> None:
    importlib.import_module("watched_one")
    started.clear()
    watch.start_loaded()
    assert [name for name, _ in started] == ["watched_one"]


def test_the_start_imports_four_modules_and_nothing_else() -> None:
    """Every Python under `blackbox run` pays for them."""
    code = "import os, sys; before = set(sys.modules); import blackbox.agent.bootstrap as one; one.start()"
    shown = f"{code}; print(*sorted(set(sys.modules) - before)); print(type(sys.meta_path[0]).__name__)"
    environment = {"PYTHONPATH": str(Path(blackbox.__file__).parents[1]), "BLACKBOX_AGENT": "1"}
    command = [sys.executable, "-S", "-c", shown]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    modules = "blackbox blackbox.agent blackbox.agent.bootstrap blackbox.agent.probes"
    assert done.stdout.splitlines() == [modules, "ImportWatch"]
