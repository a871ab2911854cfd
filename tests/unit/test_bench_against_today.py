"""The comparison of two builds: what runs is the build that is named, and what is judged is the ratio."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.against_today.builds import Build, compare, row
from benchmarks.against_today.builds import Builds as Both
from benchmarks.harness import ROOT, BrokenRunError


def build_in(folder: Path, text: str) -> Build:
    package = folder / "src" / "blackbox"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (folder / "pyproject.toml").write_text('[project.scripts]\nblackbox = "blackbox.cli:main"\n')
    (package / "cli.py").write_text(f"def main():\n    print({text!r})\n")
    return Build(text, folder)


def test_a_command_runs_the_build_that_is_named(tmp_path: Path) -> None:
    for build in (build_in(tmp_path / "one", "first"), build_in(tmp_path / "two", "second")):
        done = subprocess.run(build.command(), env=build.environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == build.name


def test_a_probe_that_fails_says_whose(tmp_path: Path) -> None:
    with pytest.raises(BrokenRunError, match="lacks everything"):
        build_in(tmp_path, "lacks everything").probe("blocks", "10")


def test_a_probe_measures_every_share_of_changes() -> None:
    assert set(Build("this build", ROOT).probe("blocks", "100")) == {"0", "1", "10", "100"}


def test_both_sides_are_measured_in_turns_and_the_median_counts() -> None:
    both = Both(Build("now", Path("now")), Build("today", Path("today")))
    figures = {"now": iter([1.0, 9.0, 2.0]), "today": iter([10.0, 90.0, 20.0])}
    turns: list[str] = []

    def measure(build: Build) -> dict[str, float]:
        turns.append(build.name)
        return {"cost": next(figures[build.name])}

    assert compare(3, both, measure) == {"cost": (2.0, 20.0)}
    assert turns == ["now", "today", "today", "now", "now", "today"]


def test_the_target_is_a_ratio_to_today() -> None:
    assert row("", "ms", (3.0, 10.0), 0.35).met is True
    assert row("", "ms", (4.0, 10.0), 0.35).met is False
    assert row("", "ms", (4.0, 10.0)).met is None


def test_the_interpreter_is_that_of_the_benchmark(tmp_path: Path) -> None:
    assert build_in(tmp_path, "x").command()[0] == sys.executable
