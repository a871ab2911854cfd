"""The probe in vLLM, on a vLLM that is not there: what it says of engines and of workers."""

import importlib
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blackbox.agent.probes.vllm.worker import CPU_VARIABLE
from blackbox.sources.agents.decode import ReportMessage, decode
from blackbox.sources.agents.kv_pages import pool_of
from blackbox.wire import Unpacker
from blackbox.wire.message import pack_report
from blackbox.wire.report import PAGE_CACHED, PAGE_IN_USE, Cost, KvLayout, Report

FAKE = Path(__file__).parents[3] / "fake_vllm"
GPU = "GPU-00000000-1111-2222-3333-444444444444"
BASE = 0x7F00_0000_0000
PAGE = 16384
PAGES = 8


class AgentContext:
    extras: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.thread_starts = 0

    def ensure_thread(self) -> None:
        self.thread_starts += 1

    def add_cost(self, seconds: float) -> None:
        pass

    def yield_gil(self) -> None:
        pass

    def out_of_memory(self, oom: object) -> None:
        pass


class Program:
    """vLLM as one process has it, and the probe in it."""

    def __init__(self) -> None:
        self.context = AgentContext()
        probes: Any = importlib.import_module("blackbox.agent.probes.vllm")
        self.scheduling = importlib.import_module("vllm.v1.core.sched.scheduler")
        self.working = importlib.import_module("vllm.v1.worker.worker_base")
        self.memory = importlib.import_module("vllm.v1.kv_cache_interface")
        self.config = importlib.import_module("vllm.config")
        probes._probe = None
        made = [probes.make(module, self.context) for module in (self.scheduling, self.working)]
        self.probe, second = made
        assert second is None

    def engine(self, pages: int = PAGES, **config: Any) -> Any:
        return self.scheduling.AsyncScheduler(self.config.make(**config), pages)

    def worker(self, description: Any, tensors: list[Any], weights: list[Any] | None = None, **config: Any) -> Any:
        wrapper = self.working.WorkerWrapperBase(self.config.make(**config), weights=weights)
        wrapper.initialize_from_config(description, tensors)
        return wrapper

    def report(self, full: bool = True) -> Report:
        report = self.probe.report(full)
        assert report is not None
        (frame,) = Unpacker().feed(pack_report(report, Cost(0, 0, 0)))
        message = decode(frame)
        assert isinstance(message, ReportMessage)
        assert message.report.kv_states == report.kv_states
        return report


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv(CPU_VARIABLE, GPU)
    before = dict(sys.modules)
    yield Program()
    for name in sys.modules.keys() - before.keys():
        if name.partition(".")[0] == "vllm":
            del sys.modules[name]
    sys.modules.update(before)


def layer_by_layer(program: Program, pages: int, layers: int) -> tuple[Any, list[Any]]:
    """One allocation, layer behind layer, as version 0.32 has it by default."""
    size = pages * layers * PAGE
    names = [f"layer.{number}" for number in range(layers)]
    tensor = program.memory.KVCacheTensor(size, names, layer_stride=pages * PAGE, block_stride=PAGE)
    views = [
        program.working.Tensor((BASE, size), (pages, 2, 32, 128), (8192, 4096, 128, 1), layer * pages * PAGE)
        for layer in range(layers)
    ]
    return program.memory.KVCacheConfig(pages, [tensor]), views


def page_by_page(program: Program, pages: int, layers: int) -> tuple[Any, list[Any]]:
    """One allocation, each page with all its layers, and a second group of layers over the first."""
    size, stride = pages * layers * PAGE, layers * PAGE
    tensors = [
        program.memory.KVCacheTensor(size, [f"{group}.{number}" for number in range(count)], PAGE, stride)
        for group, count in (("full", layers), ("sliding", max(1, layers - 1)))
    ]
    views = [program.working.Tensor((BASE, size), (pages, 2, 32, 128), (layers * 8192, 4096, 128, 1))]
    return program.memory.KVCacheConfig(pages, tensors), views


def old_keys_and_values_apart(program: Program, pages: int, layers: int) -> tuple[Any, list[Any]]:
    """Before there were strides: an allocation per layer, all keys before all values."""
    size = pages * PAGE
    bases = [BASE + 2 * layer * size for layer in range(layers)]
    described = [program.memory.OldKVCacheTensor(size, [f"layer.{number}"]) for number in range(layers)]
    shape, strides = (2, pages, 32, 128), (pages * 4096, 4096, 128, 1)
    views = [program.working.Tensor((base, size), shape, strides) for base in bases]
    return program.memory.KVCacheConfig(pages, described), views


def old_smaller_kernel_pages(program: Program, pages: int, layers: int) -> tuple[Any, list[Any]]:
    """Before there were strides: an allocation per layer, where kernels see each page as two."""
    size = pages * PAGE
    described = [program.memory.OldKVCacheTensor(size, [f"layer.{number}"]) for number in range(layers)]
    views = [
        program.working.Tensor((BASE + 2 * layer * size, size), (2 * pages, 2, 16, 128), (4096, 2048, 128, 1))
        for layer in range(layers)
    ]
    return program.memory.KVCacheConfig(pages, described), views


def the_layout(report: Report) -> KvLayout:
    assert report.kv_layouts is not None
    (layout,) = report.kv_layouts
    return layout


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([layer_by_layer, page_by_page, old_keys_and_values_apart, old_smaller_kernel_pages]),
    st.lists(st.sampled_from([0, PAGE_IN_USE, PAGE_CACHED, PAGE_IN_USE | PAGE_CACHED]), min_size=3, max_size=40),
    st.integers(1, 4),
)
def test_pages_of_every_layout_fill_the_tensors(program: Program, lay: Any, states: list[int], layers: int) -> None:
    wrapper = program.worker(*lay(program, len(states), layers))
    layout = the_layout(program.report())
    pool = pool_of(layout, bytes(states))
    size = len(states) * layers * PAGE
    assert sum(page.size for page in pool.pages) == sum(size for _, size in layout.ranges) == size
    assert sum(page.size for page in pool.pages if page.in_use) == layers * PAGE * sum(state & 1 for state in states)
    spans = sorted((page.address, page.address + page.size) for page in pool.pages)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert layout.gpu_uuid == GPU
    del wrapper


def test_an_engine_tells_what_its_pages_hold(program: Program) -> None:
    engine = program.engine()
    pool = engine.kv_cache_manager.block_pool
    engine.running, engine.waiting = ["a", "b"], ["c"]
    held = pool.get_new_blocks(3)
    pool.cache_full_blocks(held[:2])
    pool.touch(held[:1])
    pool.free_blocks(held[:2])
    pool.touch([pool.null_block])
    report = program.report()
    assert report.kv_states is not None
    assert report.engines is not None
    (states,), (told,) = report.kv_states, report.engines
    both = PAGE_IN_USE | PAGE_CACHED
    assert states.states == bytes([0, both, PAGE_CACHED, PAGE_IN_USE, 0, 0, 0, 0])
    assert (told.kind, told.model) == ("vllm", "tiny")
    assert (told.kv_pages_total, told.kv_pages_used, told.kv_pages_cached) == (PAGES, 2, 1)
    assert told.kv_usage_ratio == pytest.approx(2 / (PAGES - 1))
    assert (told.requests_running, told.requests_waiting) == (2, 1)
    assert told.unknown == {}


def test_between_full_reports_counts_are_of_now_and_cached_pages_say_their_age(program: Program) -> None:
    engine = program.engine()
    pool = engine.kv_cache_manager.block_pool
    pool.cache_full_blocks(pool.blocks[1:])
    program.report()
    pool.get_new_blocks(4)
    report = program.report(full=False)
    assert (report.kv_states, report.kv_layouts) == (None, None)
    assert report.engines is not None
    (told,) = report.engines
    assert (told.kv_pages_used, told.kv_pages_cached) == (4, 3)
    assert told.unknown["kv_pages_cached"].startswith("as of ")


def test_pages_that_change_under_the_eyes_are_no_news(program: Program) -> None:
    engine = program.engine()
    pool = engine.kv_cache_manager.block_pool
    told = program.report().kv_states
    pool.blocks[3].ref_cnt = 1  # taken, and not yet out of the queue
    assert told is not None
    assert program.report().kv_states is None


def test_an_engine_and_its_workers_know_each_other_by_the_engines_process(program: Program) -> None:
    wrapper = program.worker(*layer_by_layer(program, PAGES, 2))
    assert the_layout(program.report()).engine == str(os.getppid())  # as long as no engine is here
    engine = program.engine()
    report = program.report()
    assert report.kv_states is not None
    assert [states.engine for states in report.kv_states] == [the_layout(report).engine] == [str(os.getpid())]
    del wrapper, engine


def test_of_several_engines_in_one_process_only_the_counts_are_told(program: Program) -> None:
    engines = [program.engine(), program.engine(pages=2 * PAGES)]
    report = program.report()
    assert report.kv_states == ()
    assert report.engines is not None
    assert [told.kv_pages_total for told in report.engines] == [PAGES, 2 * PAGES]
    assert [told.kv_pages_cached for told in report.engines] == [None, None]
    del engines


def test_a_sleeping_cache_has_no_memory_until_it_wakes(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = program.worker(*layer_by_layer(program, PAGES, 2))
    size = PAGES * 2 * PAGE
    piece = SimpleNamespace(handle=(0, size, BASE, 0), is_asleep=False)
    module: Any = ModuleType("vllm.device_allocator.cumem")
    module.CuMemAllocator = SimpleNamespace(instance=SimpleNamespace(pointer_to_data={BASE: piece}))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert the_layout(program.report()).pages == PAGES
    piece.is_asleep = True
    assert program.report(full=False).kv_layouts == ()
    piece.is_asleep = False
    assert the_layout(program.report(full=False)).pages == PAGES
    assert program.report(full=False).kv_layouts is None
    del wrapper


def test_a_cpu_stands_for_a_gpu_only_where_it_is_told_to(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = program.working.Tensor((0x1000, 4096), (2048,), (1,))
    wrapper = program.worker(*layer_by_layer(program, PAGES, 2), weights=[weight, weight])
    (allocator,) = program.report().allocators
    assert allocator.reserved_bytes == 4096 + PAGES * 2 * PAGE
    assert allocator.blocks is not None
    assert list(allocator.blocks.size) == [4096, PAGES * 2 * PAGE]
    (counted,) = program.report(full=False).allocators
    assert (counted.blocks, counted.reserved_bytes) == (None, allocator.reserved_bytes)
    monkeypatch.delenv(CPU_VARIABLE)
    report = program.report()
    assert (report.allocators, report.kv_layouts) == ((), ())
    del wrapper


def test_a_cache_that_is_made_anew_is_told_once(program: Program) -> None:
    wrapper = program.worker(*layer_by_layer(program, PAGES, 2))
    wrapper.initialize_from_config(*layer_by_layer(program, 2 * PAGES, 2))
    assert the_layout(program.report()).pages == 2 * PAGES


def test_nothing_is_said_before_there_is_an_engine_and_after_it(program: Program) -> None:
    assert program.probe.report(True) is None
    engine = program.engine()
    assert program.context.thread_starts == 1
    assert program.report().engines
    del engine
    assert program.probe.report(True) is None


def test_an_engine_with_its_pages_elsewhere_tells_the_rest(program: Program) -> None:
    engine = program.engine()
    del engine.kv_cache_manager
    report = program.report()
    assert report.kv_states == ()
    assert report.engines is not None
    (told,) = report.engines
    assert told.kv_pages_total is None
    assert set(told.unknown) >= {"kv_pages_total", "kv_pages_used", "kv_pages_cached"}
    assert told.requests_running == 0


def test_what_another_version_lacks_costs_only_what_it_would_tell(program: Program) -> None:
    engine = program.engine()
    wrapper = program.worker(*layer_by_layer(program, PAGES, 2))
    wrapper.worker.model_runner.kv_cache_config = SimpleNamespace(kv_cache_tensors=[object()])
    for block in engine.kv_cache_manager.block_pool.blocks:
        del block._block_hash
    report = program.report()
    assert (report.kv_layouts, report.kv_states) == ((), ())
    assert report.engines is not None
    assert [told.kv_pages_total for told in report.engines] == [PAGES]
