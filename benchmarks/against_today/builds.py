"""Two builds of Blackbox that the same Python runs: this one, and that of an older commit out of git's history."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import ROOT, SERVER_CORE, BrokenRunError, PeerMissingError, in_turns, median
from benchmarks.plan import Row

TODAY = "00c33e7"
"""The commit that the design's figures are ratios to."""
PROBE = Path(__file__).parent / "probe.py"
PROBE_SECONDS_MAX = 1800.0
"""A day is recorded in minutes, on a machine that does nothing else."""


class Build(NamedTuple):
    """A tree of sources."""

    name: str
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a Python import this build, its benchmarks included."""
        return {"PYTHONPATH": os.pathsep.join((str(self.root / "src"), str(self.root)))}

    def command(self, *arguments: str) -> list[str | Path]:
        """A command line of Blackbox, as its installed script would run it."""
        declared = tomllib.loads((self.root / "pyproject.toml").read_text())["project"]["scripts"]["blackbox"]
        module, _, function = declared.partition(":")
        script = f"import sys; from {module} import {function}; sys.exit({function}())"
        return [sys.executable, "-c", script, *arguments]

    def probe(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What `probe.py` measured in a process of this build, on the server's core. Raises `BrokenRunError`."""
        done = subprocess.run(
            ["taskset", "-c", str(SERVER_CORE), sys.executable, "-P", str(PROBE), *map(str, arguments)],
            cwd=self.root,
            env={**os.environ, **self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            raise BrokenRunError(f"{self.name}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)


class Builds(NamedTuple):
    """The two sides."""

    now: Build
    today: Build


@contextlib.contextmanager
def builds() -> Iterator[Builds]:
    """Both, the older one in a temporary folder, byte-compiled. Raises `PeerMissingError` where there is no history."""
    with tempfile.TemporaryDirectory(prefix="blackbox-today-") as folder:
        archive = subprocess.run(["git", "archive", TODAY], cwd=ROOT, capture_output=True, check=False)
        if archive.returncode:
            raise PeerMissingError(f"commit {TODAY} in git's history")
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tree:
            tree.extractall(folder, filter="data")
        for root in (Path(folder), ROOT):
            subprocess.run([sys.executable, "-m", "compileall", "-q", root / "src" / "blackbox"], check=True)
        yield Builds(Build("this build", ROOT), Build(TODAY, Path(folder)))


def compare(rounds: int, both: Builds, measure: Callable[[Build], dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Figure -> the medians of this build and of today's, measured in turns."""
    now, today = in_turns(rounds, lambda: measure(both.now), lambda: measure(both.today))
    return {name: (median([one[name] for one in now]), median([one[name] for one in today])) for name in now[0]}


def row(
    figure: str, unit: str, sides: tuple[float, float], ratio_max: float | None = None, left: str = "", note: str = ""
) -> Row:
    """A line of the table: this build's figure, today's, and whether their ratio is met. `left`: what keeps it from
    that, told where it is not."""
    now, today = sides
    is_met = now <= ratio_max * today if ratio_max is not None else None
    return Row(
        figure=figure,
        unit=unit,
        ours=now,
        peer=TODAY,
        theirs=today,
        target=f"≤ {ratio_max:g} ×" if ratio_max is not None else "",
        met=is_met,
        note="; ".join(filter(None, (note, left if is_met is False else ""))),
    )
