"""`blackbox run --ncu`: what it starts, and what it says afterwards; with a script in ncu's place."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS

SECONDS_MAX = PATIENCE_SECONDS
NCU = """#!{python}
import json, os, subprocess, sys
program = sys.argv[sys.argv.index("rep_%p") + 1:]
json.dump({{"arguments": sys.argv[1:], "locale": os.environ.get("LC_ALL")}}, open("seen.json", "w"))
code = subprocess.run(program).returncode
if code != 3:
    open(f"rep_{{os.getpid()}}.ncu-rep", "w").close()
sys.exit(code)
"""


@pytest.fixture
def ncu(tmp_path: Path) -> Path:
    """A folder with an `ncu` in it, to be put on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "ncu"
    script.write_text(NCU.format(python=sys.executable))
    script.chmod(0o755)
    return folder


def command(*program: str) -> list[str]:
    return [sys.executable, "-m", "blackbox", "run", "--ncu", "--", *program]


def run(folder: Path, path: str, *program: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "PATH": path, "BLACKBOX_AGENT": "0"}
    return subprocess.run(
        command(*program), cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )


def test_the_program_runs_under_ncu_and_the_report_is_named(ncu: Path, tmp_path: Path) -> None:
    (tmp_path / "rep_1.ncu-rep").touch()
    done = run(tmp_path, f"{ncu}:{os.environ['PATH']}", "sh", "-c", "echo ran; exit 7")
    assert (done.returncode, done.stdout) == (7, "ran\n")
    (report,) = (path.name for path in tmp_path.glob("rep_*") if path.name != "rep_1.ncu-rep")
    assert done.stderr == f"blackbox run: see its nsight_metrics with: blackbox import {report}\n"
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["locale"] == "C"
    assert seen["arguments"][:4] == ["--target-processes", "all", "--clock-control", "none"]
    assert seen["arguments"][-3:] == ["sh", "-c", "echo ran; exit 7"]
    sections = [
        after for word, after in zip(seen["arguments"], seen["arguments"][1:], strict=False) if word == "--section"
    ]
    assert {"LaunchStats", "Occupancy", "MemoryWorkloadAnalysis_Tables"} <= set(sections)


ATTACHING = """#!{python}
import json, sys
if sys.argv[1] == "--version":
    print("NVIDIA (R) Nsight Compute Command Line Profiler\\nCopyright (c) 2018-2026\\nVersion {version} (build 1)")
    sys.exit()
json.dump(sys.argv[1:], open("seen.json", "w"))
open("rep_9.ncu-rep", "w").close()
"""


def attach(ncu: Path, folder: Path, version: str, *more: str) -> "subprocess.CompletedProcess[str]":
    (ncu / "ncu").write_text(ATTACHING.format(python=sys.executable, version=version))
    environ = {**os.environ, "PATH": f"{ncu}:{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, "-m", "blackbox", "run", "--attach", "4711", *more],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.mark.parametrize("version", ["2026.2.1.0", "2026.3.1.0", "2027.1"])
def test_a_program_that_runs_already_is_attached_to_where_the_version_can(
    ncu: Path, tmp_path: Path, version: str
) -> None:
    done = attach(ncu, tmp_path, version, "--ncu")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "blackbox run: see its nsight_metrics with: blackbox import rep_9.ncu-rep\n"
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen[:4] == ["--mode", "attach", "--process-id", "4711"]
    assert "--section" in seen


@pytest.mark.parametrize("version", ["2026.2.0.0", "2025.4.1.0", "of today"])
def test_an_ncu_that_cannot_attach_says_which_can(ncu: Path, tmp_path: Path, version: str) -> None:
    done = attach(ncu, tmp_path, version, "--ncu")
    assert done.returncode == 1
    assert done.stderr.endswith("attaches to no process; 2026.2.1 and newer do\n")
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize("more", [[], ["--ncu", "--", "true"]])
def test_attaching_wants_ncu_and_no_program(ncu: Path, tmp_path: Path, more: list[str]) -> None:
    done = attach(ncu, tmp_path, "2026.3.1.0", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert "blackbox run --ncu --attach PID" in done.stderr


def test_no_report_is_told(ncu: Path, tmp_path: Path) -> None:
    done = run(tmp_path, f"{ncu}:{os.environ['PATH']}", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert done.stderr == "blackbox run: ncu wrote no report; if it said nothing, no kernel ran\n"


def test_without_ncu_one_line_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, str(tmp_path), "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("blackbox: no ncu on PATH: ")
    assert done.stderr.count("\n") == 1


def test_a_request_to_end_reaches_the_profiler(ncu: Path, tmp_path: Path) -> None:
    (ncu / "ncu").write_text("#!/bin/sh\ntrap 'exit 9' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
    environ = {**os.environ, "PATH": f"{ncu}:{os.environ['PATH']}"}
    with subprocess.Popen(
        command("true"), cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=SECONDS_MAX)
    assert child.returncode == 9
