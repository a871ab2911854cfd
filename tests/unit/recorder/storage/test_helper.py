"""Processes that do one piece of work and end."""

import os
from pathlib import Path

import msgspec
import psutil
import pytest

from blackbox.errors import FailureError
from blackbox.recorder.storage import helper as module
from blackbox.recorder.storage.helper import NICE, Helper, HelperLostError
from tests.waiting import until

ROOT = Path(__file__).parents[4]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def tasks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_it_answers_what_it_was_given_at_low_priority() -> None:
    told = msgspec.json.decode(Helper("tests.helper_tasks:about_itself", b"an order").wait())
    assert told == {"nice": min(19, os.nice(0) + NICE), "given": "an order"}


def test_an_order_and_an_answer_of_any_size_need_nobody_to_read_meanwhile() -> None:
    large = os.urandom(4 * MIB)
    helper = Helper("zlib:compress", large)
    until(lambda: not psutil.pid_exists(helper.pid) or psutil.Process(helper.pid).status() == psutil.STATUS_ZOMBIE)
    answer = helper.poll()
    assert answer is not None
    assert len(answer) >= len(large)


def test_a_reason_of_one_line_is_a_failure() -> None:
    with pytest.raises(FailureError, match=r"^the disk is full$"):
        Helper("tests.helper_tasks:refuse", b"the disk is full").wait()


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("be_killed", "its process was killed by SIGKILL"),
        ("fault", "its process exited with code 1: RuntimeError: an order"),
    ],
)
def test_any_other_end_is_named(task: str, told: str) -> None:
    with pytest.raises(HelperLostError) as raised:
        Helper(f"tests.helper_tasks:{task}", b"an order").wait()
    assert str(raised.value) == told


def test_it_has_no_answer_while_it_works_and_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    helper = Helper("tests.helper_tasks:never", b"")
    assert helper.poll() is None
    monkeypatch.setattr(helper, "_give_up_at", 0.0)
    with pytest.raises(HelperLostError, match=f"more than {module.SECONDS_MAX:g} s"):
        helper.wait()
    assert not psutil.pid_exists(helper.pid)


def test_what_is_killed_is_gone_and_leaves_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - descriptors, counted
    helper = Helper("tests.helper_tasks:never", b"")
    helper.kill()
    assert not psutil.pid_exists(helper.pid)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
