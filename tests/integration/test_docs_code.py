"""Every line of code in the README and in docs/ is run, against a real server and in an empty folder; what cannot be is
named here with the reason, and its shell at least is read."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.running_server import RunningServer, environment
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "commands")]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
INDENTED = re.compile(r"(?:^(?: {4,}|\t).*\n)+", re.M)
SHELL_WORD = re.compile(r"^(sudo )?([a-z][\w.-]*|\./run)( |$)")
ELSEWHERE = {
    "docker": "there is no container runtime here; tests/integration/test_deploy.py judges the image",
    "kubectl": "there is no cluster here; tests/integration/test_deploy.py judges the manifests",
    "helm": "likewise",
    "pip": "would install into the environment of the tests; .ci/run installs the wheel into an empty one",
    "pipx": "likewise",
    "sudo": "would change the machine",
    "ncu": "needs NVIDIA's Nsight Compute",
    "duckdb": "is not among the tools of the tests",
    "touch": "says how a secret file is made; tests/unit/outputs/notify/test_services.py reads such files",
}
"""First word of a command -> why it is not run."""
NOT_RUN = {
    "attach": "needs a program that runs already; tests/integration has its own",
    "detach": "likewise",
    "run": "starts a program of the reader's; tests/integration/test_agent_programs.py starts others",
    "serve": "does not end; tests/integration starts it in every way",
    "top": "does not end; tests/unit/tui looks at it",
    "stream": "does not end; test_readme.py follows it",
    "test": "is what runs this",
    "release": "builds a release",
    "service install": "would change the machine; test_service.py does it on a copy",
    "service uninstall": "likewise",
    "fleet": "asks a ClickHouse; tests/integration/test_fleet_init.py and test_fleet_questions.py have real ones",
    "doctor": "its exit code depends on the machine; test_doctor.py asks it",
}
"""Commands of ours -> why only their arguments are checked (tests/unit/test_surroundings.py)."""


class Line(NamedTuple):
    page: str
    text: str


def shell_lines() -> Iterator[Line]:
    """The commands of every code block, each once."""
    seen: set[str] = set()
    for path in PAGES:
        page = path.read_text()
        blocks = [text for language, text in FENCE.findall(page) if language == "bash"]
        blocks += INDENTED.findall(FENCE.sub("", page))
        for block in blocks:
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                code = re.sub(r"\s{2,}# .*$", "", line.strip())
                if SHELL_WORD.match(code) and first_word(code) in KNOWN and code not in seen:
                    seen.add(code)
                    yield Line(str(path.relative_to(ROOT)), code)


def first_word(code: str) -> str:
    return code.split(" ")[0]


KNOWN = {"blackbox", "./run", "curl", *ELSEWHERE}
LINES = list(shell_lines())


def reason_not_run(code: str) -> str | None:
    words = code.split(" ")
    if words[0] in ELSEWHERE:
        return ELSEWHERE[words[0]]
    if words[0] == "curl":
        return "does not end; test_readme.py follows it" if "--no-buffer" in words else None
    return NOT_RUN.get(words[1]) or NOT_RUN.get(" ".join(words[1:3]))


class Reader:
    """Somebody who follows the pages: an empty folder with the files that they speak of, and a server that runs."""

    def __init__(self, folder: Path, server: RunningServer) -> None:
        self.folder = folder
        self.server = server
        self.env = environment(folder, BLACKBOX_URL=server.url)
        programs = folder / "bin"
        programs.mkdir()
        for name in ("blackbox", "run"):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m blackbox "$@"\n')
            program.chmod(0o755)
        self.env["PATH"] = f"{programs}:{self.env['PATH']}"
        (folder / "run").symlink_to(programs / "run")
        snapshot = ROOT / "tests/recorded/torch/simulated-2.13.pickle"
        (folder / "ranks").mkdir()
        for name in ("snapshot.pickle", "before.pickle", "after.pickle", "ranks/rank0.pickle", "ranks/rank1.pickle"):
            shutil.copy(snapshot, folder / name)
        (folder / "ours.txt").write_text("KV cache = serving/paged_cache.py\n")
        (folder / ".config/fish/completions").mkdir(parents=True)

    def do(self, code: str) -> subprocess.CompletedProcess[str]:
        """The recording is that of the demo, where the page speaks of a machine's own."""
        recording = {} if "--demo" in code else {"STATE_DIRECTORY": str(self.folder / ".local/state/blackbox/demo")}
        here = code.replace("localhost:6767", f"localhost:{self.server.port}")
        bash = ["bash", "-euo", "pipefail", "-c", here]
        return subprocess.run(
            bash,
            cwd=self.folder,
            env=self.env | recording,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    with RunningServer(folder, "--demo", "--interval", "100ms") as server:
        yield Reader(folder, server)


RUN = [line for line in LINES if reason_not_run(line.text) is None]
ABSENT = ("memory.prof", ".ncu-rep", "FILE.csv", ".parquet")
"""Files of frameworks that are not here, and of pyarrow, which is the user's to install: tests of these formats make
their own."""
NOT_YET = re.compile(
    r"nothing recorded|nothing was recorded|begins? (at|on)|reaches|no such event|no event|nothing of", re.I
)
"""A server that has just started has no yesterday."""


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN, ids=lambda line: f"{line.page}: {line.text[:60]}")
def test_commands_do_what_the_page_says(line: Line, reader: Reader) -> None:
    if line.text.startswith("curl"):
        tool("curl", "curl")
    if any(name in line.text for name in ABSENT):
        pytest.skip("a file of another framework, or of pyarrow; the tests of these formats have their own")
    done = reader.do(line.text)
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert done.returncode == 0 or (done.returncode == 1 and NOT_YET.search(told)), told


@pytest.mark.parametrize("line", [line for line in LINES if line not in RUN], ids=lambda line: line.text[:60])
def test_what_is_not_run_is_shell_at_least(line: Line) -> None:
    subprocess.run(["bash", "-n", "-c", line.text], check=True, timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_code_block_is_of_a_kind_that_is_looked_at(path: Path) -> None:
    """Fenced blocks of the README run in test_readme.py, those of docs/ here and in the test of their page."""
    languages = {language for language, _ in FENCE.findall(path.read_text())}
    assert languages <= {"bash", "python", "js", "yaml", "text"}


@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "README.md"], ids=lambda path: path.name)
def test_python_in_the_pages_runs(path: Path, reader: Reader) -> None:
    for language, text in FENCE.findall(path.read_text()):
        if language == "python":
            here = text.replace("blackbox.Client()", f"blackbox.Client({reader.server.url!r})")
            command = [sys.executable, "-W", "error", "-c", here]
            done = subprocess.run(
                command, env=reader.env, cwd=reader.folder, capture_output=True, text=True, timeout=PATIENCE_SECONDS
            )
            assert done.returncode == 0, done.stderr


def test_the_readme_begins_with_commands_that_are_all_run_or_named() -> None:
    of_readme = [line.text for line in LINES if line.page == "README.md"]
    assert {"./run serve --demo", "./run top", "blackbox report"} <= {*of_readme}
    assert "curl localhost:6767/vram" in of_readme
    assert len(LINES) > 40
