"""What runs inside the program leaves nothing behind but the agent, in Pythons with and without Blackbox."""

import subprocess
import sys
from pathlib import Path

import pytest

from blackbox.injection import handover, inside
from tests.agent_rig import PROGRAMS
from tests.waiting import PATIENCE_SECONDS

CHECK = """
import os, sys
before = list(sys.path), dict(os.environ), set(globals())
{setup}
{source}
work({letter!r}, {folder!r}, "/nowhere/agent.sock", {task!r})
after = list(sys.path), dict(os.environ)
print(before[:2] == after, flush=True)
"""


def run(tmp_path: Path, task: str = "attach", setup: str = "", folder: Path = handover.FOLDER) -> tuple[str, str]:
    """What the program printed, and the answer in the letter."""
    letter = tmp_path / "letter"
    letter.write_text(f"#{' ' * inside.STATUS_BYTES}\nthe rest\n")
    code = CHECK.format(
        setup=setup, source=Path(inside.__file__).read_text(), letter=str(letter), folder=str(folder), task=task
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        env={},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, rest = letter.read_text().split("\n", 1)
    assert rest == "the rest\n"
    return done.stdout, first[1:].strip()


def test_the_agent_waits_where_no_framework_is_loaded(tmp_path: Path) -> None:
    assert run(tmp_path) == ("True\n", "attached")


def test_it_tells_whether_the_server_was_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "CONNECT_SECONDS", 0.0)
    setup = (
        "import os; os.environ['BLACKBOX_AGENT_PROBES'] = 'blackbox_heap=heap_probe'; "
        f"sys.path.append({str(PROGRAMS)!r}); "
        "import blackbox_heap; blackbox_heap.alloc(4096); before = list(sys.path), dict(os.environ), ()"
    )
    assert run(tmp_path, setup=setup) == ("True\n", "attached heap")


def test_an_agent_that_another_thread_is_about_to_load_is_waited_for(tmp_path: Path) -> None:
    setup = f"""
import sys, threading, time
sys.path.append({str(handover.FOLDER)!r})
from blackbox.agent import bootstrap
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("blackbox.agent.") and "blackbox.agent.runtime" in sys.modules:
            begun.set()
            time.sleep(0.2)
begun = threading.Event()
sys.meta_path.insert(0, Slow())
threading.Thread(target=lambda: __import__("blackbox.agent.runtime")).start()
assert begun.wait({PATIENCE_SECONDS})
before = list(sys.path), dict(os.environ), ()
"""
    assert run(tmp_path, setup=setup) == ("True\n", "attached")


def test_a_module_of_that_name_is_left_alone(tmp_path: Path) -> None:
    setup = "import types; sys.modules['blackbox'] = types.ModuleType('blackbox')"
    assert run(tmp_path, setup=setup)[1] == "failed it has a module of its own named blackbox"


def test_threads_that_are_no_threads_are_not_used(tmp_path: Path) -> None:
    setup = "import _thread; _thread.start_new_thread = lambda *arguments: None"
    assert "threads are replaced" in run(tmp_path, setup=setup)[1]


def test_a_python_without_what_the_agent_needs_is_told(tmp_path: Path) -> None:
    setup = "import sys; sys.modules['json'] = None"
    assert run(tmp_path, setup=setup)[1].startswith("failed ModuleNotFoundError: import of json halted")


def test_what_fails_is_told_in_one_line(tmp_path: Path) -> None:
    assert run(tmp_path, folder=tmp_path)[1].startswith("failed FileNotFoundError: ")


def test_detaching_where_there_is_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, task="detach") == ("True\n", "absent")


def test_a_letter_that_is_gone_is_no_error(tmp_path: Path) -> None:
    inside.work(str(tmp_path / "gone"), "", "", "detach")
