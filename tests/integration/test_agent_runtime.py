"""Agents and servers that come, go, stop and crowd: neither side ever waits for the other."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from blackbox.model.sample import Sample
from tests.agent_rig import USE_HEAP, AgentServer, Listener, agent_environment, run
from tests.waiting import until

LIVE = USE_HEAP + "print('begun', flush=True); heap.live(60)"
CROWD = 100


def pids(sample: Sample) -> set[int]:
    return {allocator.pid for allocator in sample.allocators}


def test_a_program_shows_its_blocks_and_threads_from_start_to_end(tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server:
        with server.program(["-c", LIVE]) as program:
            (heap,) = server.wait_for(lambda sample: sample.allocators).allocators
            assert (heap.pid, heap.gpu_uuid, heap.source) == (program.pid, "GPU-0", "heap")
            assert heap.reserved_bytes == 4096
            assert heap.blocks is not None
            assert [(block.size, block.type, block.thread_id) for block in heap.blocks] == [
                (4096, "weight", program.pid)
            ]
            assert heap.threads is not None
            assert [(thread.thread_id, thread.allocated_bytes) for thread in heap.threads] == [(program.pid, 4096)]
        assert not server.wait_for(lambda sample: not sample.cost["agents"]).allocators


def test_the_source_wants_quiet_only_while_no_program_is_there_and_none_has_just_ended(tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server:
        assert server.source.quiet_seconds > 0
        with server.program(["-c", LIVE]) as program:
            server.wait_for(pids)
            assert server.source.quiet_seconds == 0
            program.kill()
        server.wait_for(lambda sample: sample.process_exits)
        assert server.source.quiet_seconds == 0


def test_a_child_after_a_fork_speaks_for_itself_once_it_allocates(tmp_path: Path) -> None:
    code = USE_HEAP + "import os\nif not os.fork():\n  heap.live(.3)\n  heap.alloc(512)\nheap.live(60)"
    with AgentServer(tmp_path) as server, server.program(["-c", code]) as program:
        both = server.wait_for(lambda sample: len(pids(sample)) == 2)
        sizes = {allocator.pid == program.pid: allocator.reserved_bytes for allocator in both.allocators}
        assert sizes == {True: 4096, False: 4608}
        os.kill(min(pids(both) - {program.pid}), signal.SIGKILL)


def test_a_child_that_allocates_nothing_has_no_thread_of_ours(tmp_path: Path) -> None:
    code = USE_HEAP + (
        "import os; heap.live(.2); child = os.fork(); "
        "child or (heap.live(.3), print(os.listdir('/proc/self/task') == [str(os.getpid())]), os._exit(0)); os.wait()"
    )
    with AgentServer(tmp_path) as server:
        done = server.run(["-u", "-c", code])
    assert done.stdout == b"True\n"


def test_a_program_that_attaches_by_itself_is_seen(tmp_path: Path) -> None:
    code = (
        "import blackbox_heap as heap, blackbox; heap.alloc(4096); blackbox.attach(); blackbox.attach(); heap.live(60)"
    )
    with AgentServer(tmp_path) as server, server.program(["-c", code], BLACKBOX_AGENT="") as program:
        server.wait_for(lambda sample: pids(sample) == {program.pid})


def test_a_stopped_agent_keeps_its_figures_with_their_age(tmp_path: Path) -> None:
    with AgentServer(tmp_path) as server, server.program(["-c", LIVE]) as program:
        server.wait_for(pids)
        program.send_signal(signal.SIGSTOP)
        stale = server.wait_for(lambda sample: sample.allocators[0].unknown)
        assert "silent" in stale.allocators[0].unknown["reserved_bytes"]
        program.send_signal(signal.SIGCONT)
        server.wait_for(lambda sample: not sample.allocators[0].unknown)


def test_a_stopped_server_costs_the_program_nothing(tmp_path: Path) -> None:
    with Listener(tmp_path / "agent.sock") as server:
        os.kill(server.pid, signal.SIGSTOP)
        done = run(["-c", USE_HEAP + "[heap.alloc(64) for _ in range(20_000 // 64)]; heap.live(.5); print('done')"],
                   agent_environment(server.socket))  # fmt: skip
        os.kill(server.pid, signal.SIGCONT)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"done\n", b"")


def test_agents_find_a_server_that_was_started_again(tmp_path: Path) -> None:
    environment = {"BLACKBOX_AGENT_INTERVAL": "0.05"}
    with Listener(tmp_path / "agent.sock") as first, ExitStack() as stack:
        server = AgentServer(tmp_path)
        program = stack.enter_context(server.program(["-c", LIVE], **environment))
        first.wait_for(lambda sample: pids(sample) == {program.pid})
        first.kill()
        with server:
            again = server.wait_for(lambda sample: pids(sample) == {program.pid})
            assert server.wait_for(lambda sample: sample.allocators[0].blocks), again


def test_an_oom_arrives_before_the_program_dies_of_it(tmp_path: Path) -> None:
    code = (
        USE_HEAP
        + "import os; heap.on_out_of_memory.append(lambda size: os.abort()); heap.limit = 9999; heap.alloc(9999)"
    )
    with AgentServer(tmp_path) as server:
        died = server.run(["-c", code])
        (event,) = server.wait_for(lambda sample: sample.events).events
    assert died.returncode == -signal.SIGABRT
    assert event.kind == "oom"
    assert event.oom is not None
    assert event.oom.requested_bytes == 9999
    assert event.oom.allocator is not None
    assert [block.size for block in event.oom.allocator.blocks or ()] == [4096]
    assert [step.action for step in event.oom.trace] == ["oom"]
    assert event.oom.stacks == (("train.py:1 step",),)


def test_an_oom_waits_for_a_stopped_server_no_longer_than_promised(tmp_path: Path) -> None:
    code = USE_HEAP + (
        "import time\nfor n in range(300): heap.alloc(64)\nheap.limit = 0\nheap.live(.3)\nbegan = time.monotonic()\n"
        "try: heap.alloc(1)\nexcept MemoryError: print(time.monotonic() - began < 5)"
    )
    with Listener(tmp_path / "agent.sock") as server:
        os.kill(server.pid, signal.SIGSTOP)
        done = run(["-c", code], agent_environment(server.socket))
        os.kill(server.pid, signal.SIGCONT)
    assert done.stdout == b"True\n"


def test_a_second_server_says_who_is_in_its_way_and_takes_over(tmp_path: Path) -> None:
    with AgentServer(tmp_path) as first:
        second = AgentServer(tmp_path)
        refused = second.sample()
        assert (refused.state, refused.reason) == (
            "degraded",
            f"cannot listen at {first.socket}: another server listens there",
        )
        assert first.sample().state == "ok"
    with second:
        assert second.sample().state == "ok"


def test_a_thread_of_a_process_in_another_pid_namespace_has_our_id(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may make a pid namespace")
    code = USE_HEAP + "import threading; threading.Thread(target=heap.alloc, args=(512,)).start(); heap.live(60)"
    elsewhere = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    with AgentServer(tmp_path) as server, server.program(["-c", code], command=elsewhere):
        sample = server.wait_for(lambda sample: any(len(one.threads or ()) == 1 for one in sample.allocators))
        (heap,) = sample.allocators
        tids = {int(task.name) for task in Path(f"/proc/{heap.pid}/task").iterdir()}
        assert {thread.thread_id for thread in heap.threads or ()} == {heap.pid}
        assert {block.thread_id for block in heap.blocks or ()} <= tids | {None}


@pytest.mark.slow
def test_a_hundred_agents_are_all_seen_and_all_forgotten(tmp_path: Path) -> None:
    code = (
        "import os, sys\nimport blackbox_heap as heap\n"
        f"for _ in range({CROWD}):\n  if not os.fork():\n    heap.alloc(512); heap.live(60); os._exit(0)\n"
        "heap.live(60)"
    )
    with AgentServer(tmp_path) as server:
        with server.program(["-c", code], BLACKBOX_AGENT_INTERVAL="0.5") as program:
            everyone = server.wait_for(lambda sample: len(pids(sample)) == CROWD)
            assert everyone.cost["agents_cut_off_total"] == 0
            for pid in pids(everyone):
                os.kill(pid, signal.SIGKILL)
            program.kill()
        server.wait_for(lambda sample: sample.cost["agents"] == 0)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with AgentServer(tmp_path) as server, server.program(["-c", LIVE]):
        server.wait_for(pids)
    until(lambda: set(Path("/proc/self/fd").iterdir()) <= before)
    assert [path.name for path in tmp_path.iterdir()] == ["agent.sock.lock"]
