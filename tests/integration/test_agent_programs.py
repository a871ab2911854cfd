"""A program with the agent in it ends with the same exit code and the same output as without."""

import re
from pathlib import Path

import pytest

from tests.agent_rig import PROGRAMS, USE_HEAP, AgentServer, agent_environment, other_python, plain_environment, run

WORK = USE_HEAP + "heap.live(.3); "
"""Long enough for some reports."""
POOL = """
import multiprocessing, sys
import blackbox_heap as heap

def work(number):
    heap.alloc(512)
    heap.live(.1)
    return number * number

if __name__ == "__main__":
    heap.alloc(4096)
    heap.live(.1)
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        print(pool.map(work, range(4)))
"""
ENDS = {
    "success": ["-c", WORK + "print('done')"],
    "exception": ["-c", WORK + "raise RuntimeError('no')"],
    "exit 3": ["-c", WORK + "import sys; print('bye'); sys.exit(3)"],
    "exit with words": ["-c", WORK + "import sys; sys.exit('because')"],
    "os._exit": ["-c", WORK + "import os; os._exit(4)"],
    "SIGTERM": ["-c", WORK + "import os, signal; os.kill(os.getpid(), signal.SIGTERM); heap.live(9)"],
    "SIGKILL": ["-c", WORK + "import os, signal; os.kill(os.getpid(), signal.SIGKILL); heap.live(9)"],
    "abort": ["-c", WORK + "import os; os.abort()"],
    "interrupt": ["-c", WORK + "import os, signal; os.kill(os.getpid(), signal.SIGINT); heap.live(9)"],
    "handler": [
        "-c",
        WORK + "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        "os.kill(os.getpid(), signal.SIGTERM); heap.live(9)",
    ],
    "awaited signal": [
        "-c",
        USE_HEAP + "import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); heap.live(.2); "
        "os.kill(os.getpid(), signal.SIGTERM); print(signal.sigwait({signal.SIGTERM}))",
    ],
    "fork": [
        "-W",
        "error",
        "-c",
        WORK + "import os; child = os.fork(); child or (heap.alloc(512), heap.live(.2), os._exit(5)); "
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
    ],
    "many forks": [
        "-W",
        "error",
        "-c",
        WORK + "import os\nfor n in range(20):\n  child = os.fork()\n  if not child: os._exit(n)\n"
        "  print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
    ],
    "joins all threads": [
        "-c",
        WORK + "import threading; print(threading.active_count()); "
        "threading.Thread(target=print, args=('other',)).start(); "
        "[one.join() for one in threading.enumerate() if one is not threading.main_thread()]",
    ],
    "threads": [
        "-c",
        USE_HEAP + "import threading; all = [threading.Thread(target=heap.alloc, args=(512,)) for _ in range(8)]; "
        "[one.start() for one in all]; heap.live(.2); [one.join() for one in all]; print(len(heap.owners))",
    ],
    "closes all files": ["-c", WORK + "import os; os.closerange(3, 4096); heap.live(.3); print(os.open('/', 0))"],
    "takes our descriptor": [
        "-c",
        WORK + "import os, tempfile; file = tempfile.TemporaryFile(); os.closerange(200, 4096); "
        "[os.dup2(file.fileno(), number) for number in range(200, 900)]; heap.live(.5); print(os.fstat(899).st_size)",
    ],
    "first file is 3": ["-c", WORK + "import os; print(os.open('/', 0))"],
    "shell child": ["-c", WORK + "import subprocess; print(subprocess.run('exit 6', shell=True).returncode)"],
    "-I": ["-I", "-c", "print('isolated')"],
    "-S": ["-S", "-c", "print('no site')"],
    "-E": ["-E", "-c", "import os; print('no variables')"],
    "warnings are errors": ["-W", "error", "-X", "dev", "-c", WORK + "print('strict')"],
    "reads sys.path": ["-c", WORK + "import sys; print(sys.path, 'sitecustomize' in sys.modules)"],
    "asks for the loader": ["-c", "import blackbox_heap; print(blackbox_heap.__loader__, blackbox_heap.__spec__)"],
    "module": ["-m", "blackbox_heap"],
    "reloads": ["-c", WORK + "import importlib; print(importlib.reload(heap).owners)"],
    "looks before it imports": ["-c", "import importlib.util as u; print(u.find_spec('blackbox_heap').origin)"],
}
_ADDRESS = re.compile(rb"0x[0-9a-f]+")


@pytest.mark.parametrize("name", ENDS)
def test_a_program_ends_as_it_would_without(name: str, tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server:
        seen = server.run(ENDS[name])
    alone = run(ENDS[name], plain_environment())
    assert (seen.returncode, _text(seen.stdout), _text(seen.stderr)) == (
        alone.returncode,
        _text(alone.stdout),
        _text(alone.stderr),
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_processes_works_as_it_would_without(method: str, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    with AgentServer(tmp_path) as server:
        seen = server.run([str(script), method])
    alone = run([str(script), method], plain_environment())
    assert alone.stdout == b"[0, 1, 4, 9]\n"
    assert (seen.returncode, seen.stdout, seen.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_a_server_that_was_never_there_changes_nothing(tmp_path: Path) -> None:
    seen = run(["-W", "error", "-c", WORK + "print('done')"], agent_environment(tmp_path / "nobody.sock"))
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, b"done\n", b"")


def test_one_variable_keeps_the_agent_out(tmp_path: Path) -> None:
    code = USE_HEAP + "import blackbox, sys; blackbox.attach(); print([str(one) for one in sys.meta_path])"
    for word in ("0", "off", "FALSE", "no"):
        environment = agent_environment(tmp_path / "agent.sock") | {"BLACKBOX_AGENT": word}
        assert b"ImportWatch" not in run(["-c", code], environment).stdout


def test_the_environments_own_sitecustomize_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    environment = agent_environment(tmp_path / "agent.sock")
    environment["PYTHONPATH"] += f":{tmp_path}"
    seen = run(["-c", "import sitecustomize; print(sitecustomize.__file__)"], environment)
    assert seen.stdout.decode().split() == ["mine", str(tmp_path / "sitecustomize.py")]


def test_a_broken_probe_is_no_concern_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def make(module, context):\n    raise SystemError('broken')")
    environment = agent_environment(tmp_path / "agent.sock") | {
        "BLACKBOX_AGENT_PROBES": "blackbox_heap=broken,blackbox_heap=missing",
        "PYTHONPATH": f"{agent_environment(tmp_path)['PYTHONPATH']}:{tmp_path}",
    }
    seen = run(["-c", WORK + "print('done')"], environment)
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, b"done\n", b"")


def _text(output: bytes) -> bytes:
    return _ADDRESS.sub(b"0x", output.replace(bytes(PROGRAMS), b"PROGRAMS"))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_pythons_without_blackbox_have_the_agent_too(version: str, tmp_path: Path) -> None:
    python = other_python(version)
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    telling = ("success", "exception", "SIGTERM", "os._exit", "many forks", "joins all threads", "warnings are errors")
    ends = [*(ENDS[name] for name in telling), *([str(script), method] for method in ("fork", "spawn", "forkserver"))]
    with AgentServer(tmp_path) as server:
        assert run(["-c", WORK], agent_environment(server.socket), python).returncode == 0
        assert server.sample().cost["frames_total"] > 1
        for arguments in ends:
            seen = run(arguments, agent_environment(server.socket), python)
            alone = run(arguments, plain_environment(), python)
            assert (seen.returncode, _text(seen.stdout), _text(seen.stderr)) == (
                alone.returncode,
                _text(alone.stdout),
                _text(alone.stderr),
            ), arguments
