"""The built wheel in an empty environment: its `.pth` brings the agent into every Python, if a variable says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import built_wheel
from tests.agent_rig import PROGRAMS, USE_HEAP, AgentServer, agent_environment, run
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

POOL = """
import multiprocessing, sys
import blackbox_heap as heap

def work(number):
    heap.alloc(512)
    heap.live(.5)
    return number

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        pool.map(work, range(2))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and nothing else, not even what the server needs."""
    folder = tmp_path_factory.mktemp("wheel")
    python = built_wheel.install(folder)
    (built_wheel.site_packages(python) / "ours.pth").write_text(
        f"{PROGRAMS}\n"
    )  # -I and -E children do not see PYTHONPATH
    return python


def environment(server: AgentServer, **changes: str) -> dict[str, str]:
    """As `blackbox run` sets it, but for the path: here the wheel alone must do."""
    return {**agent_environment(server.socket), "PYTHONPATH": "", **changes}


@pytest.mark.parametrize("flags", [[], ["-I"], ["-E"], ["-s"], ["-P"] if sys.version_info >= (3, 11) else []])
def test_every_way_to_start_python_but_one_has_the_agent(python: Path, flags: list[str], tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server:
        seen = run([*flags, "-c", USE_HEAP + "heap.live(.3)"], environment(server), str(python))
        assert (seen.returncode, seen.stderr) == (0, b"")
        assert server.wait_for(lambda sample: not sample.cost["agents"]).cost["frames_total"] > 1


def test_without_site_there_is_no_agent(python: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path.append({str(PROGRAMS)!r}); {USE_HEAP} print(sys.meta_path[0])"
    with AgentServer(tmp_path) as server:
        seen = run(["-S", "-c", code], environment(server), str(python))
    assert b"BuiltinImporter" in seen.stdout


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_a_pool_have_the_agent(python: Path, method: str, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    with AgentServer(tmp_path) as server:
        program = subprocess.Popen([python, script, method], env=environment(server))
        try:
            server.wait_for(lambda sample: len({one.pid for one in sample.allocators} - {program.pid}) == 2)
        finally:
            assert program.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("word", ["", "0", "off"])
def test_without_the_variable_nothing_of_ours_is_even_imported(python: Path, word: str, tmp_path: Path) -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith('blackbox.agent.')])"
    with AgentServer(tmp_path) as server:
        seen = run(["-c", code], environment(server, BLACKBOX_AGENT=word), str(python))
    expected = b"[]\n" if not word else b"['blackbox.agent.bootstrap']\n"
    assert seen.stdout == expected


def test_vllm_finds_its_door(python: Path) -> None:
    code = (
        "from importlib.metadata import entry_points\n"
        "found = tuple(entry_points(group='vllm.general_plugins'))\n"
        "register = found[0].load(); register(); register()\n"
        "import sys; print(type(sys.meta_path[0]).__name__)"
    )
    seen = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env={}
    )
    assert (seen.stdout, seen.stderr) == ("ImportWatch\n", "")
