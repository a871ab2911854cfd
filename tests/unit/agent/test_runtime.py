"""The agent has one thread, whatever comes between the steps of a fork."""

from pathlib import Path

import pytest

from blackbox.agent.runtime import AgentRuntime
from blackbox.agent.settings import read_settings
from tests.waiting import until

TASKS = Path("/proc/self/task")


@pytest.fixture
def runtime(tmp_path: Path) -> AgentRuntime:
    return AgentRuntime(read_settings({}), (str(tmp_path / "nowhere"),))


def threads() -> int:
    return sum("blackbox-agent" in (task / "comm").read_text() for task in TASKS.iterdir())


def fork(runtime: AgentRuntime) -> None:
    runtime.before_fork()
    runtime.after_fork_in_parent()


def test_the_thread_goes_on_after_a_fork(runtime: AgentRuntime) -> None:
    runtime.ensure_thread()
    until(lambda: threads() == 1)
    fork(runtime)
    until(lambda: threads() == 1)
    runtime.detach()
    until(lambda: threads() == 0)


def test_one_that_comes_in_the_middle_of_a_fork_is_the_only_one(runtime: AgentRuntime) -> None:
    """It was not stopped before the fork, so one that waits for its end would wait for ever, and so would the next."""
    before = len(list(TASKS.iterdir()))
    runtime.before_fork()
    runtime.ensure_thread()
    runtime.after_fork_in_parent()
    until(lambda: threads() == 1)
    for _ in range(5):
        fork(runtime)
    until(lambda: (threads(), len(list(TASKS.iterdir()))) == (1, before + 1))
    runtime.detach()
    until(lambda: len(list(TASKS.iterdir())) == before)


def test_one_that_goes_in_the_middle_of_a_fork_is_gone(runtime: AgentRuntime) -> None:
    runtime.ensure_thread()
    until(lambda: threads() == 1)
    runtime.before_fork()
    runtime.detach()
    runtime.after_fork_in_parent()
    until(lambda: threads() == 0)
    runtime.wake(())
    runtime.ensure_thread()
    until(lambda: threads() == 1)
    runtime.detach()
