"""Engines and workers that were there first are found from the loops that run, and nothing stays behind."""

import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import pytest

from blackbox.agent.probes.vllm.running import ITEMS_MAX, running

VLLM = """
class Scheduler: pass
class Wrapper: pass
class Holder:
    def __init__(self, **held): self.__dict__.update(held)
class Engine(Holder):
    def run_busy_loop(self, begun, over):
        output = Output()
        outputs.append(ref(output))
        begun.set()
        rest(step)
        output = None
        freed.set()
        rest(over)
    def other(self, begun, over):
        begun.set()
        rest(over)
class Watched(Holder):
    def run_busy_loop(self, begun, over):
        len(())
        over.set()
        outputs.append(self)
def rest(event): event.wait()
class Output: pass
class Slots:
    __slots__ = ()
    def __getattr__(self, name): raise AssertionError("code of the program")
outputs = []
"""


@pytest.fixture
def vllm() -> ModuleType:
    module = ModuleType("vllm.v1.engine.core")
    module.__dict__.update(ref=weakref.ref, step=threading.Event(), freed=threading.Event())
    exec(VLLM, module.__dict__)
    return module


@pytest.fixture
def over(vllm: ModuleType) -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    vllm.step.set()
    event.set()


def looped(method: Any, over: threading.Event) -> threading.Thread:
    begun = threading.Event()

    def run() -> None:
        sys.settrace(None)  # one that is traced, as where coverage is measured, is left alone
        method(begun, over)

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    return thread


def test_what_a_loop_works_with_is_found(vllm: ModuleType, over: threading.Event) -> None:
    scheduler, worker, workers = vllm.Scheduler(), vllm.Wrapper(), [vllm.Wrapper() for _ in range(2)]
    executor = vllm.Holder(driver=worker, others=[*workers, None], by_name={"a": vllm.Slots(), "self": None})
    looped(vllm.Engine(scheduler=scheduler, executor=executor, number=7).run_busy_loop, over)
    found = running((vllm.Scheduler, vllm.Wrapper))
    assert {id(one) for one in found} == {id(one) for one in (scheduler, worker, *workers)}
    assert running(()) == []


def test_a_subclass_of_the_programs_own_is_found(vllm: ModuleType, over: threading.Event) -> None:
    class Own(vllm.Scheduler): ...  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]

    scheduler = Own()
    looped(vllm.Engine(scheduler=scheduler).run_busy_loop, over)
    assert running((vllm.Scheduler,)) == [scheduler]


def test_one_that_the_main_module_holds_is_found(vllm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = vllm.Scheduler()
    monkeypatch.setattr(sys.modules["__main__"], "llm", vllm.Holder(core=vllm.Holder(it=scheduler)), raising=False)
    assert running((vllm.Scheduler,)) == [scheduler]


def test_other_functions_and_long_lists_are_left_alone(vllm: ModuleType, over: threading.Event) -> None:
    looped(vllm.Engine(scheduler=vllm.Scheduler()).other, over)
    looped(vllm.Engine(pages=[*range(ITEMS_MAX), vllm.Scheduler()]).run_busy_loop, over)
    assert running((vllm.Scheduler,)) == []


def test_nothing_is_kept_alive_by_the_search(vllm: ModuleType, over: threading.Event) -> None:
    looped(vllm.Engine(scheduler=vllm.Scheduler()).run_busy_loop, over)
    assert len(running((vllm.Scheduler,))) == 1
    vllm.step.set()
    vllm.freed.wait()
    assert [output() for output in vllm.outputs] == [None], "a variable of the loop, while that runs on"


@pytest.mark.parametrize("watch", [sys.setprofile, sys.settrace])
def test_a_loop_keeps_its_variables_where_a_debugger_or_profiler_watches_it(
    vllm: ModuleType, over: threading.Event, watch: Callable[[Any], None]
) -> None:
    stopped, go_on = threading.Event(), threading.Event()

    def watcher(frame: FrameType, _event: str, _argument: object) -> Any:
        if (
            frame.f_code.co_name == "run_busy_loop"
            and not stopped.is_set()
            and frame.f_lineno > frame.f_code.co_firstlineno
        ):
            stopped.set()
            go_on.wait()
        return watcher

    def watched() -> None:
        watch(watcher)
        try:
            vllm.Watched(scheduler=vllm.Scheduler()).run_busy_loop(None, over)
        finally:
            watch(None)

    thread = threading.Thread(target=watched)
    thread.start()
    stopped.wait()
    running((vllm.Scheduler,))
    go_on.set()
    thread.join()
    assert len(vllm.outputs) == 1, "its `self` is gone"
