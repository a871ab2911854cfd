"""What the memory of a trace is for, on programs whose every block is known."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.purpose import TAGS_MAX, categories
from blackbox.analysis.rules import NO_RULES, CategoryRules, parse_rules
from blackbox.analysis.trace.device_findings import AllocatorMoment, Context, findings, moment
from blackbox.analysis.trace.replay import instants, replay
from blackbox.sources.memory_snapshot.traces import read_traces
from tests.caching_allocator import MIB, CachingAllocator, Frames, RefusedError
from tests.traced_programs import allocators, perform, programs

SITE = "/venv/lib/python3.12/site-packages"


def frame(file: str, name: str) -> dict[str, Any]:
    return {"filename": file, "line": 1, "name": name}


MAIN = frame("/app/train.py", "main")
CALL = frame(f"{SITE}/torch/nn/modules/module.py", "_call_impl")
FORWARD = [frame("/app/model.py", "forward"), CALL, MAIN]
LOSS = [frame("/app/loss.py", "cross_entropy"), MAIN]
ENGINE = [frame("??", "at::_ops::mm::call()"), frame("??", "torch::autograd::Engine::thread_main()")]
STEP = [frame("/app/adam.py", "step"), frame(f"{SITE}/torch/optim/optimizer.py", "wrapper"), MAIN]
ZERO = [frame(f"{SITE}/torch/optim/optimizer.py", "zero_grad"), MAIN]
MOVE = [frame("x.cpp", "torch::autograd::THPVariable_cuda(_object*)"), MAIN]


class Training:
    """A model of two layers; parameters of 4 MiB each, twice as much state, activations of 8 MiB a layer."""

    def __init__(self, python_only: bool = False, known: bool = False, capacity: int = 1 << 40) -> None:
        self.allocator = CachingAllocator(capacity)
        self.engine = [] if python_only else ENGINE
        self.moved = [MAIN] if python_only else MOVE
        made = [frame(f"{SITE}/torch/nn/modules/module.py", "_apply"), MAIN] if known else []
        self.parameters = [self.allocator.alloc(4 * MIB, frames=made) for _ in range(2)]
        self.state: list[int] = []
        self.gradients: list[int] = []
        self.truth: dict[str, int] = {}
        """At the deepest point of a forward pass."""

    def step(self, stop: str = "") -> None:
        memory = self.allocator
        for gradient in self.gradients:
            memory.free(gradient, frames=ZERO)
        batch = memory.alloc(2 * MIB, frames=self.moved)
        kept = [memory.alloc(8 * MIB, frames=FORWARD) for _ in range(2)]
        memory.free(memory.alloc(3 * MIB, frames=FORWARD), frames=FORWARD)
        loss = memory.alloc(6 * MIB, frames=LOSS)
        if stop == "forward":
            return
        passed = memory.alloc(5 * MIB, frames=self.engine)
        self.gradients = [memory.alloc(4 * MIB, frames=self.engine) for _ in range(2)]
        for address in (loss, *kept, passed):
            memory.free(address, frames=self.engine)
        if stop == "backward":
            return
        scratch = memory.alloc(4 * MIB, frames=STEP)
        if not self.state:
            self.state = [memory.alloc(8 * MIB, frames=STEP) for _ in range(2)]
        memory.free(scratch, frames=STEP)
        memory.free(batch, frames=[MAIN])

    def shares(self, rules: CategoryRules = NO_RULES, **more: Any) -> dict[str, dict[str, int]]:
        """Of all that was allocated by the end, and while it lived: category -> how it is told -> MiB."""
        traces = read_traces(self.allocator.snapshot((2, 10)) | more, rules)
        (device,) = traces.devices
        run = replay(device.trace, device.end, device.rules)
        category_of = categories(run, traces.evidence)
        found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        made = [place for place, code in enumerate(run.trace.action) if code == 0]
        for block in (*run.start_blocks(), *made):
            name, source = category_of(block)
            found[name][source] += run.requested_of(block) // MIB
        return {name: dict(sources) for name, sources in found.items()}


def test_every_part_of_two_steps_is_told() -> None:
    training = Training()
    training.step()
    training.step()
    assert training.shares() == {
        "parameters": {"pattern": 8},
        "input": {"stack": 4},
        "activations": {"stack": 38, "pattern": 12},
        "autograd detail": {"stack": 10},
        "gradients": {"pattern": 16},
        "workspaces": {"pattern": 8},
        "optimizer state": {"pattern": 16},
    }


def test_backward_work_without_stacks_where_python_alone_was_recorded() -> None:
    training = Training(python_only=True, known=True)
    training.step()
    training.step()
    shares = training.shares()
    assert shares["gradients"] == {"pattern": 16}
    assert shares["autograd detail"] == {"pattern": 10}
    assert shares["parameters"] == {"stack": 8}


def test_nothing_is_claimed_of_what_is_older_than_a_trace_of_a_later_step() -> None:
    training = Training()
    training.step()
    training.allocator.keep_last(0)
    training.step()
    shares = training.shares()
    assert shares["unknown"] == {"none": 8}, "what lives over all steps may be parameters, state or gradients"
    assert shares["optimizer state"] == {"pattern": 16}, "it has a stack, as it was made while recorded"
    assert shares["gradients"] == {"pattern": 16}, "those of the step before were freed by zero_grad"
    assert "parameters" not in shares


def test_gradients_that_are_added_to_leave_parameters_untold() -> None:
    training = Training()
    training.step()
    training.allocator.keep_last(0)
    memory = training.allocator
    kept = memory.alloc(8 * MIB, frames=FORWARD)
    memory.free(memory.alloc(4 * MIB, frames=ENGINE), frames=ENGINE)
    memory.free(kept, frames=ENGINE)
    memory.alloc(16 * MIB, frames=STEP)
    memory.alloc(MIB, frames=[MAIN])
    assert training.shares()["unknown"] == {"none": 8 + 1}, "parameters, and what the program made by itself"


def test_a_forward_pass_that_keeps_nothing_is_inference() -> None:
    memory = CachingAllocator()
    memory.alloc(40 * MIB)
    memory.keep_last(0)
    for _ in range(20):
        memory.free(memory.alloc(8 * MIB, frames=FORWARD), frames=FORWARD)
    training = Training()
    training.allocator = memory
    assert training.shares() == {"parameters": {"pattern": 40}, "activations": {"stack": 160}}


def test_a_forward_pass_that_was_refused_may_have_been_of_a_training() -> None:
    memory = CachingAllocator(100 * MIB)
    memory.alloc(40 * MIB)
    memory.keep_last(0)
    kept = [memory.alloc(20 * MIB, frames=FORWARD) for _ in range(3)]
    with pytest.raises(RefusedError):
        memory.alloc(20 * MIB, frames=FORWARD)
    for address in kept:
        memory.free(address, frames=[MAIN])
    training = Training()
    training.allocator = memory
    assert training.shares() == {"unknown": {"none": 40}, "activations": {"stack": 60}}


def test_a_refusal_in_the_backward_pass_leaves_open_what_would_have_stayed() -> None:
    training = Training(capacity=60 * MIB)
    memory = training.allocator
    kept = memory.alloc(8 * MIB, frames=FORWARD)
    held = memory.alloc(20 * MIB, frames=ENGINE)
    with pytest.raises(RefusedError):
        memory.alloc(40 * MIB, frames=ENGINE)
    memory.free(kept, frames=[MAIN])
    memory.free(held, frames=[MAIN])
    assert training.shares()["autograd detail"] == {"stack": 20}


def scope(name: str, start: int, end: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "stage": "START", "device": 0, "time_us": start},
        {"name": name, "stage": "END", "device": 0, "time_us": end},
    ]


def test_annotations_tell_what_stacks_do_not() -> None:
    memory = CachingAllocator()
    training = Training()
    training.allocator = memory
    scopes: list[dict[str, Any]] = []

    def within(name: str, *sizes: int) -> list[int]:
        first = len(memory.entries)
        held = [memory.alloc(size * MIB) for size in sizes]
        times = [entry["time_us"] for entry in memory.snapshot((2, 8))["device_traces"][0][first:]]
        scopes.extend(scope(name, times[0], times[-1]))
        return held

    within("enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", 2)
    within("## Forward ##", 8)
    state = within("Optimizer.step#AdamW.step", 16)
    memory.alloc(MIB, frames=[MAIN])
    assert state
    assert training.shares(external_annotations=scopes) == {
        "input": {"annotation": 2},
        "activations": {"annotation": 8},
        "optimizer state": {"pattern": 16},
        "unknown": {"none": 1},
    }


@pytest.mark.parametrize("told", ["text", [1, None], [{"name": "x"}], [{"name": 1, "stage": "END", "time_us": "y"}]])
def test_malformed_annotations_are_none(told: object) -> None:
    training = Training()
    training.step()
    assert training.shares(external_annotations=told) == training.shares()


def test_tags_and_rules_come_before_stacks() -> None:
    training = Training()
    training.allocator.tag = "weights"
    training.step(stop="forward")
    rules = parse_rules(b"mine = model.py:* forward\nother = weights")
    assert training.shares()["weights"] == {"tag": 27}
    assert training.shares(rules)["other"] == {"tag": 27}
    training = Training()
    training.step()
    assert training.shares(rules)["mine"] == {"stack": 19}


def test_so_many_tags_are_no_names() -> None:
    memory = CachingAllocator()
    for number in range(TAGS_MAX + 1):
        memory.tag = f"request {number}"
        memory.alloc(MIB)
    training = Training()
    training.allocator = memory
    assert training.shares() == {"unknown": {"none": TAGS_MAX + 1}}


def test_the_profilers_words() -> None:
    training = Training()
    training.step()
    written = training.allocator.snapshot((2, 8))
    for entry in written["device_traces"][0]:
        if entry["action"] == "alloc":
            entry["category"] = "temporary" if entry["size"] == 3 * MIB else "unknown"
    written["device_traces"][0][0]["category"] = "parameter"
    shares = training.shares(device_traces=written["device_traces"])
    assert shares["workspaces"]["profiler"] == 3


def test_pools_of_cuda_graphs() -> None:
    memory = CachingAllocator()
    memory.alloc(8 * MIB, pool=(0, 1), frames=FORWARD)
    memory.alloc(4 * MIB, pool=(0, 1), frames=[frame(f"{SITE}/vllm/worker/cache_engine.py", "allocate"), MAIN])
    training = Training()
    training.allocator = memory
    assert training.shares() == {"graph pools": {"framework": 8}, "KV cache": {"stack": 4}}


stacks: list[Frames] = [FORWARD, LOSS, ENGINE, STEP, ZERO, MOVE, [MAIN], []]
actions = st.lists(
    st.tuples(st.sampled_from(["alloc", "free"]), st.integers(1, 9 * MIB), st.sampled_from(stacks)), max_size=40
)


def check_moments(written: dict[str, Any], done: Sequence[int]) -> None:
    traces = read_traces(written)
    (device,) = traces.devices
    run = replay(device.trace, device.end, device.rules)
    context = Context(0, run, traces.stacks, categories(run, traces.evidence))
    for instant in instants(run, sorted({min(place, run.steps) for place in done})):
        check_sums(moment(context, instant))
    check_sums(findings(context).peak)


def check_sums(told: AllocatorMoment) -> None:
    assert sum(share.bytes for share in told.by_category) == told.bytes
    assert sum(share.requested_bytes for share in told.by_category) == told.requested_bytes
    for share in told.by_category:
        assert sum(share.type_sources.values()) == share.bytes
        assert share.type_source in share.type_sources
        assert (share.category == "unknown") == (share.type_source == "none")
    by_stack: dict[str, int] = defaultdict(int)
    for row in told.by_stack:
        assert sum(row.categories.values()) == row.bytes
        for name, size in row.categories.items():
            by_stack[name] += size
    assert by_stack == {share.category: share.bytes for share in told.by_category}


@given(actions, st.integers(0, 20), st.lists(st.integers(0, 99), max_size=6))
def test_categories_sum_to_all_that_is_held_at_any_step(
    program: list[tuple[str, int, Frames]], lost: int, done: list[int]
) -> None:
    memory = CachingAllocator(80 * MIB)
    held: list[int] = []
    for place, (action, size, frames) in enumerate(program):
        if place == lost:
            memory.keep_last(0)
        if action == "alloc":
            try:
                held.append(memory.alloc(size, frames=frames))
            except RefusedError:
                continue
        elif held:
            memory.free(held.pop(size % len(held)), frames=frames)
    if memory.entries:
        check_moments(memory.snapshot((2, 8)), done)


@given(allocators(), programs, st.lists(st.integers(0, 99), max_size=6))
def test_categories_sum_with_any_settings_pools_and_tags(
    allocator: CachingAllocator, program: list[tuple[Any, ...]], done: list[int]
) -> None:
    perform(allocator, program)
    if allocator.entries:
        check_moments(allocator.snapshot((2, 12)), done)
