"""How the compiled part is built: by the machine's own compiler or not at all, and taken for no other."""

from pathlib import Path

import pytest

from blackbox.sources.memory_snapshot.compiled import building, library
from blackbox.sources.memory_snapshot.compiled.building import CompilerError, compile_library, library_name
from blackbox.sources.memory_snapshot.compiled.library import installed_library
from tests.tools import tool


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of the installed one."""
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    return tmp_path


def test_what_is_compiled_is_used(folder: Path) -> None:
    tool("gcc", "gcc")
    assert installed_library() is None
    assert compile_library(folder) == folder / library_name()
    assert installed_library() is not None
    assert [path.name for path in folder.iterdir()] == [library_name()]


def test_it_is_not_used_where_the_user_wants_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("gcc", "gcc")
    compile_library(folder)
    monkeypatch.setenv(building.VARIABLE, "0")
    assert installed_library() is None


def test_that_of_other_sources_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool("gcc", "gcc")
    compile_library(folder)
    newer = folder / "newer.c"
    newer.write_bytes(building.SOURCES[1].read_bytes() + b"\n")
    monkeypatch.setattr(building, "SOURCES", (building.SOURCES[0], newer))
    assert installed_library() is None


@pytest.mark.parametrize("held", [b"", b"no library", b"\x7fELF" + b"\0" * 60])
def test_what_does_not_load_is_not_used(folder: Path, held: bytes) -> None:
    (folder / library_name()).write_bytes(held)
    assert installed_library() is None


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerError, match="there is no C compiler"):
        compile_library(tmp_path)
    monkeypatch.setenv("CC", "none-such")
    with pytest.raises(CompilerError, match="there is no compiler 'none-such'"):
        compile_library(tmp_path)


def test_a_compiler_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    tool("gcc", "gcc")
    with pytest.raises(CompilerError, match="error"):
        compile_library(tmp_path, ["-no-such-flag-of-any-compiler"])
    assert list(tmp_path.iterdir()) == []
