"""Who belongs together, and command lines that are kept from one look to the next."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.proc.table import ProcessEntry
from blackbox.sources.proc.tree import KEPT_SECONDS, Commands, ProcessTree
from tests.clocks import ManualClock
from tests.waiting import until

PIDS = range(2, 9)


def written(root: Path, processes: dict[int, tuple[int, int]]) -> None:
    """A /proc of pid -> (parent, session)."""
    for pid, (parent, session) in processes.items():
        (root / str(pid)).mkdir()
        rest = ["S", str(parent), str(pid), str(session), *["0"] * 15, str(pid * 10), *["0"] * 32]
        (root / str(pid) / "stat").write_text(f"{pid} (x) {' '.join(rest)}\n")


@given(
    st.dictionaries(
        st.sampled_from(PIDS), st.tuples(st.sampled_from((0, 1, *PIDS)), st.sampled_from((0, 1, 2))), max_size=7
    ),
    st.sets(st.sampled_from(PIDS)),
)
def test_the_relations_of_several_are_those_of_each(processes: dict[int, tuple[int, int]], of: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), processes)
        tree = ProcessTree(Path(folder))
        each = [{*tree.ancestors(pid), *tree.tree(pid), *tree.session(pid)} for pid in of]
    assert tree.related(of) == frozenset().union(*each)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("read", "exec", "rename", "another process", "title")),
            st.sampled_from((0.0, 1.0, KEPT_SECONDS)),
        )
    )
)
def test_a_command_that_is_kept_is_the_one_that_would_be_read(steps: list[tuple[str, float]]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "7").mkdir()
        commands = Commands(root, clock)
        start, name, place, number, titled_at = 100, b"python", 4096, 0, float("-inf")
        for step, seconds in steps:
            clock.advance(seconds)
            number += step != "read"
            start += step == "another process"
            place += 16 * (step == "exec")
            name = b"name %d" % number if step == "rename" else name
            titled_at = clock() if step == "title" else titled_at
            (root / "7" / "cmdline").write_bytes(b"python\0program %d\0" % number)
            entry = ProcessEntry(7, 1, 1, start, name, place)
            found = commands.of(entry)
            if step not in ("read", "title"):
                titled_at = float("-inf")
            if clock() - titled_at > 2 * KEPT_SECONDS or titled_at == float("-inf"):
                assert found == Commands(root, clock).of(entry)


def test_nothing_is_kept_where_an_exec_would_not_be_seen(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    commands = Commands(tmp_path)
    for text in ("first", "second"):
        (tmp_path / "7" / "cmdline").write_text(text)
        assert commands.of(ProcessEntry(7, 1, 1, 100)) == text


def test_a_real_exec_of_the_same_interpreter_is_seen() -> None:
    commands = Commands()
    code = "import os, sys; input(); os.execv(sys.executable, [sys.executable, '-c', 'input()', 'after'])"
    with subprocess.Popen([sys.executable, "-c", code, "before"], stdin=subprocess.PIPE) as program:
        try:
            until(lambda: ProcessTree(Path("/proc"), commands).command(program.pid).endswith("before"))
            assert program.stdin is not None
            program.stdin.write(b"\n")
            program.stdin.flush()
            until(lambda: ProcessTree(Path("/proc"), commands).command(program.pid).endswith("after"))
        finally:
            program.kill()


def test_the_command_of_this_process() -> None:
    assert ProcessTree(Path("/proc")).command(os.getpid()).startswith(sys.orig_argv[0])
