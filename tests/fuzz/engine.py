"""Runs targets, each in a child of its own, and tells what was found."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.fuzz.child import CURRENT, Finding, Outcome, bounded_memory

ROOT = Path(__file__).parents[2]
SECONDS_BESIDE = 120.0
"""Beyond the time it was given: to start, and to make its seeds, on a loaded machine."""
SLOWED_MAX = 60
"""By which other work may slow a target before it counts as one that waits for something."""


def fuzz(name: str, inputs: int, seconds: float, seed: int, folder: Path) -> Outcome:
    """Runs one target for so many seconds of CPU time, or inputs; those it did not stand lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(inputs), str(seconds), str(seed), str(folder)]
    patience = seconds * SLOWED_MAX + SECONDS_BESIDE
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=patience
    )
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout, type=Outcome)
    if done.returncode > 0:
        raise RuntimeError(f"{name} did not run:\n{done.stderr.decode(errors='replace')}")
    return Outcome(0, 0, 0, 0.0, 0, (_last_words(-done.returncode, folder, done.stderr),))


def replay(name: str, path: Path) -> int:
    """Gives one file to a target, in this process: for a debugger. An error that is not allowed is raised. What it may
    hold in memory is bounded as in a child."""
    from tests.fuzz.target import load

    target = load(name)
    try:
        with bounded_memory():
            target.run(path.read_bytes())
    except target.ALLOWED as error:
        print(f"refused: {error}")
    else:
        print("taken")
    return 0


def _last_words(number: int, folder: Path, errors: bytes) -> Finding:
    current = (folder / CURRENT).read_bytes()
    file = folder / "killer"
    file.write_bytes(current[8 : 8 + int.from_bytes(current[:8], "little")])
    error = "took too long" if number == signal.SIGPROF else f"killed by {signal.Signals(number).name}"
    return Finding(0, error, error, errors.decode(errors="replace")[-2000:], str(file))
