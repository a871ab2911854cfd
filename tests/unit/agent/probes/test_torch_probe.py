"""The probe in PyTorch, on a PyTorch that is not there."""

import gc
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from blackbox.sources.simulated.allocator import ACTIVATION
from blackbox.wire import Unpacker
from blackbox.wire.message import pack_oom, pack_report
from blackbox.wire.report import NO_THREAD, STATES, TYPES, AllocatorReport, Cost, Oom, Report

FAKE = Path(__file__).parents[3] / "fake_torch"
VERSIONS = ("1.13", "2.0", "2.1", "2.10", "2.13")
GPU = "GPU-00000000-1111-2222-3333-444444444444"
MIB = 1 << 20

GIB = 1 << 30


class Counter:
    """A context that notes what it is told."""

    def __init__(self, extras: frozenset[str]) -> None:
        self.extras = extras
        self.thread_starts = 0
        self.seconds = 0.0
        self.ooms: list[Oom] = []
        self.rests = 0
        self.meanwhile: Callable[[], object] = lambda: None
        """What the program does while the agent rests."""

    def ensure_thread(self) -> None:
        self.thread_starts += 1

    def add_cost(self, seconds: float) -> None:
        self.seconds += seconds

    def yield_gil(self) -> None:
        self.rests += 1
        self.meanwhile()

    def out_of_memory(self, oom: Oom) -> None:
        pack_oom(oom)
        self.ooms.append(oom)


class Program:
    """PyTorch as one program has it, and the probe in it."""

    def __init__(self, extras: frozenset[str], late: Callable[[ModuleType], object] | None = None) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.kept = late(self.torch) if late is not None else None
        self.context = Counter(extras)
        probes: Any = importlib.import_module("blackbox.agent.probes.torch")
        self.torch.__spec__._initializing = late is None  # as while it is being imported
        self.probe = probes.make(self.torch, self.context)
        self.torch.__spec__._initializing = False

    def report(self, full: bool = True) -> Report:
        report = self.probe.report(full)
        assert report is not None
        assert len(list(Unpacker().feed(pack_report(report, Cost(0, 0, 0))))) == 1
        return report

    def allocator(self, full: bool = True) -> AllocatorReport:
        (allocator,) = self.report(full).allocators
        return allocator

    def live(self) -> list[tuple[str, str | None, str | None, int]]:
        """(type, subtype, type_source, requested bytes) of the blocks in use, sorted."""
        return sorted(
            (TYPES[kind], *blocks.labels[label], requested)
            for blocks in [self.allocator().blocks]
            if blocks is not None
            for state, kind, label, requested in zip(
                blocks.state,
                blocks.type or (),
                blocks.label or (),
                blocks.requested or blocks.size,
                strict=True,
            )
            if STATES[state] == "active"
        )


Start = Callable[..., Program]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a program with a version of PyTorch."""
    monkeypatch.syspath_prepend(FAKE)
    doubles = ("torch", "blackbox.agent.probes.torch", "vllm")

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith(doubles)]:
            del sys.modules[name]

    def begin(version: str = "2.13", *extras: str, late: Any = None, **variables: str) -> Program:
        monkeypatch.setenv("FAKE_TORCH_VERSION", version)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Program(frozenset(extras), late)

    forget()
    yield begin
    forget()
    gc.collect()


def test_nothing_is_said_before_the_program_sets_up_cuda(start: Start) -> None:
    program = start()
    assert program.probe.report(True) is None
    program.torch.nn.Linear(10, 10)
    assert program.probe.report(False) is None
    assert not program.torch.cuda._initialized


def test_a_pytorch_for_cpus_needs_no_probe(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()
    program.torch.version.cuda = None
    assert sys.modules["blackbox.agent.probes.torch"].make(program.torch, program.context) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_blocks_of_every_version_sum_to_what_it_reserves(start: Start, version: str) -> None:
    program = start(version)
    tensors = [program.torch.empty(size, 0) for size in (100, 70_000, 3_000_000, 9_000_000)]
    del tensors[1]
    allocator = program.allocator()
    gpu = sys.modules["torch._machine"].gpus[0].allocator
    blocks = allocator.blocks
    assert blocks is not None
    assert sum(blocks.size) == allocator.reserved_bytes == gpu.reserved_bytes
    assert allocator.allocated_bytes == gpu.allocated_bytes
    assert allocator.inactive_split_bytes == gpu.inactive_split_bytes
    assert allocator.requested_bytes == (None if version < "2.1" else gpu.requested_bytes)
    assert allocator.largest_free_bytes == gpu.largest_free_bytes
    assert allocator.gpu_uuid == GPU


def raises(*_: object, **__: object) -> Any:
    raise RuntimeError("mempool_id must be a tuple\nof 2 integers")


def test_where_blocks_cannot_be_listed_the_counters_are_told_with_the_reason(start: Start) -> None:
    program = start("2.11")
    kept = program.torch.empty(300_000, 0)
    before = program.allocator()
    program.torch.cuda.memory_snapshot = raises
    allocator = program.allocator()
    assert (allocator.reserved_bytes, allocator.allocated_bytes) == (before.reserved_bytes, before.allocated_bytes)
    assert allocator.blocks is None
    assert allocator.unknown["blocks"] == "PyTorch could not list them: mempool_id must be a tuple of 2 integers"
    del kept


def test_where_blocks_are_listed_in_another_shape_the_counters_are_told_with_the_reason(start: Start) -> None:
    program = start()
    kept = program.torch.empty(300_000, 0)
    before = program.allocator()
    program.torch.cuda.memory_snapshot = lambda **_: [{"device": 0, "new": []}]
    allocator = program.allocator()
    assert (allocator.reserved_bytes, allocator.blocks) == (before.reserved_bytes, None)
    assert "lists them as no other does" in allocator.unknown["blocks"]
    del kept


def test_a_gpu_that_is_lost_does_not_take_the_others_along(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    program = start()
    kept = program.torch.empty(300_000, 0)
    well = program.torch.cuda.memory_stats_as_nested_dict
    monkeypatch.setattr(program.torch.cuda, "device_count", lambda: 2)

    def stats(device: int) -> Any:
        return raises() if device == 1 else well(device)

    monkeypatch.setattr(program.torch.cuda, "memory_stats_as_nested_dict", stats)
    assert program.allocator(full=False).reserved_bytes > 0
    del kept


def test_a_history_in_another_shape_does_not_take_the_blocks_along(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = start()
    program.torch.cuda.memory._record_memory_history(stacks="python")
    kept = program.torch.empty(300_000, 0)
    monkeypatch.setattr("blackbox.agent.probes.torch.probe.owner_stacks", raises)
    allocator = program.allocator()
    assert allocator.blocks is not None
    assert allocator.stacks is None
    del kept


@pytest.mark.parametrize("version", VERSIONS)
def test_counters_alone_agree_with_the_blocks(start: Start, version: str) -> None:
    program = start(version)
    kept = program.torch.empty(300_000, 0)
    counted, listed = program.allocator(full=False), program.allocator()
    assert counted.blocks is None
    assert counted.threads is None
    assert counted.reserved_bytes == listed.reserved_bytes
    assert counted.allocated_bytes == listed.allocated_bytes
    assert counted.inactive_split_bytes == listed.inactive_split_bytes
    assert counted.requested_bytes == (None if version < "2.0" else 1_200_000)
    del kept


@pytest.mark.parametrize(("fraction", "share"), [(0.5, 0.5), (1.0, None), (0.0, None)])
def test_a_memory_fraction_of_the_program_is_told(start: Start, fraction: float, share: float | None) -> None:
    program = start()
    kept = program.torch.empty(10, 0)
    assert program.allocator().limit_bytes is None, "a PyTorch that does not tell"
    program.torch.cuda.memory.get_per_process_memory_fraction = lambda _device: fraction
    program.torch.cuda.get_device_properties = lambda _device: SimpleNamespace(total_memory=80 * GIB, uuid="x")
    for full in (True, False):
        limit = program.allocator(full=full).limit_bytes
        assert limit == (None if share is None else share * 80 * GIB)
    program.torch.cuda.get_device_properties = lambda _device: SimpleNamespace(uuid="x")
    assert program.allocator().limit_bytes is None, "of another shape"
    del kept


def test_each_gpu_is_told_by_its_uuid(start: Start) -> None:
    program = start()
    kept = [program.torch.empty(10, 0), program.torch.empty(10, 1)]
    assert [one.gpu_uuid for one in program.report().allocators] == [GPU, GPU.replace("0000000-", "0000001-", 1)]
    assert [one.gpu_uuid for one in program.report(full=False).allocators] == [
        one.gpu_uuid for one in program.report().allocators
    ]
    del kept


def test_types_follow_the_owners_of_the_tensors(start: Start) -> None:
    program = start()
    torch = program.torch
    model = torch.nn.Linear(1000, 1000, device=0)
    model.register_buffer("mask", torch.empty(500, 0))
    model.register_parameter("nothing", None)
    optimizer = torch.optim.Adam([model._parameters["weight"]])
    model._parameters["weight"].grad = torch.empty(1_000_000, 0)
    optimizer.step()
    work = torch.empty(7, 0)
    assert program.live() == [
        ("activation", None, "residual", 28),
        ("other", "gradient", "residual", 4_000_000),
        ("other", "optimizer", "tensor", 4_000_000),
        ("other", "optimizer", "tensor", 4_000_000),
        ("weight", None, "tensor", 2_000),
        ("weight", None, "tensor", 4_000),
        ("weight", None, "tensor", 4_000_000),
    ]
    del work


def test_a_gradient_that_has_moved_on_is_not_taken_for_what_lies_there_now(start: Start) -> None:
    program = start()
    torch = program.torch
    model = torch.nn.Linear(1000, 1000, device=0)
    weight = model._parameters["weight"]
    weight.grad = torch.empty(1_000_000, 0)
    address = weight.grad.data_ptr()
    torch.optim.Adam([weight]).step()
    weight.grad = None
    work = torch.empty(999_900, 0)  # in the same block, of another size
    assert work.data_ptr() == address
    assert ("activation", None, "residual", 3_999_600) in program.live()
    assert not any(subtype == "gradient" for _, subtype, _, _ in program.live())


def test_gradients_are_read_where_the_optimizer_reads_them_and_nowhere_else(start: Start) -> None:
    program = start()
    torch = program.torch
    readers: list[int] = []

    class Watched(torch.nn.Parameter):
        @property
        def grad(self) -> None:
            readers.append(threading.get_ident())

        @grad.setter
        def grad(self, value: object) -> None: ...

    model = torch.nn.Module()
    model.register_parameter("weight", Watched(100, 0))
    torch.optim.Adam(model.parameters()).step()
    assert set(readers) == {threading.get_ident()}
    agent = threading.Thread(target=program.report)
    agent.start()
    agent.join()
    assert agent.ident not in readers


def test_a_program_without_modules_has_no_activations(start: Start) -> None:
    program = start()
    work = program.torch.empty(7, 0)
    assert program.live() == [("other", None, "none", 28)]
    del work


def test_a_parameter_that_moves_is_found_where_it_is(start: Start) -> None:
    program = start()
    model = program.torch.nn.Linear(1000, 10)
    for parameter in model.parameters():
        parameter.to_(0)
    assert program.live() == [("weight", None, "tensor", 40), ("weight", None, "tensor", 40_000)]


def test_tensors_made_of_tensors_are_weights_too(start: Start) -> None:
    program = start()
    torch = program.torch

    class Quantized(torch.Tensor):
        is_cuda = True

        def __init__(self) -> None:
            self.scales, self.values = torch.empty(8, 0), torch.empty(64, 0)
            self.grad = None

        def __tensor_flatten__(self) -> tuple[list[str], None]:
            return ["scales", "values"], None

    model = torch.nn.Module()
    model.register_parameter("weight", Quantized())
    assert program.live() == [("weight", None, "tensor", 32), ("weight", None, "tensor", 256)]


def test_a_sharded_gradient_is_the_shard_that_lies_here(start: Start) -> None:
    program = start()
    torch = program.torch

    class Sharded(torch.Tensor):
        """Its own storage lies nowhere, as that of PyTorch's `DTensor`."""

        is_cuda = True

        def __init__(self, local: Any) -> None:
            self.local = local

        def __tensor_flatten__(self) -> tuple[list[str], None]:
            return ["local"], None

        def untyped_storage(self) -> Any:
            raise RuntimeError("Attempted to access the data pointer on an invalid python storage.")

    model = torch.nn.Linear(10, 10, device=0)
    model._parameters["weight"].grad = Sharded(torch.empty(1000, 0))
    optimizer = torch.optim.Adam([model._parameters["weight"]])
    optimizer.step()
    assert ("other", "gradient", 4000) in [(kind, subtype, size) for kind, subtype, _, size in program.live()]


def test_a_sparse_gradient_is_its_values_and_their_places_and_hides_no_other(start: Start) -> None:
    program = start()
    torch = program.torch

    class Sparse(torch.Tensor):
        """Without a storage, as PyTorch's gradients of an `Embedding(..., sparse=True)`."""

        is_cuda = is_sparse = True

        def __init__(self) -> None:
            self.values, self.places = torch.empty(1000, 0), torch.empty(500, 0)

        def _values(self) -> Any:
            return self.values

        def _indices(self) -> Any:
            return self.places

        def untyped_storage(self) -> Any:
            raise NotImplementedError("Cannot access storage of SparseTensorImpl")

    model = torch.nn.Linear(50, 50, device=0)
    weight, bias = model._parameters.values()
    weight.grad, bias.grad = Sparse(), torch.empty(300, 0)
    optimizer = torch.optim.Adam([weight, bias])
    optimizer.step()
    gradients = sorted(size for _, subtype, _, size in program.live() if subtype == "gradient")
    assert gradients == [1200, 2000, 4000]


def test_scales_beside_a_weight_are_weights(start: Start) -> None:
    program = start()
    torch = program.torch

    class State:
        def __init__(self, scales: int, state2: object = None) -> None:
            self.absmax, self.state2, self.blocksize = torch.empty(scales, 0), state2, 64

    class Params4bit(torch.nn.Parameter):
        """A weight that holds its scales as bitsandbytes' does: in an attribute, and the scales of the scales there."""

    Params4bit.__module__ = "bitsandbytes.nn.modules"
    model = torch.nn.Module()
    weight = Params4bit(4096, 0)
    model.register_parameter("weight", weight)
    weight.quant_state = State(64, State(8))
    unquantized = torch.nn.Parameter(100, 0)
    unquantized.quant_state = State(77)  # another library's, of which nothing is known
    model.register_parameter("bias", unquantized)
    sizes = sorted(size for kind, _, _, size in program.live() if kind == "weight")
    assert sizes == [32, 256, 400, 16_384]


def test_scales_of_rows_are_weights_where_they_lie(start: Start) -> None:
    """In 8 bits: beside the weight until the first use, in the layer's state after it."""
    program = start()
    torch = program.torch

    class Int8Params(torch.nn.Parameter):
        pass

    class MatmulLtState:
        threshold = 0.0

        def __init__(self) -> None:
            self.SCB, self.idx, self.outliers = torch.empty(9, 0), None, [1]

    class Linear8bitLt(torch.nn.Module):
        pass

    Int8Params.__module__ = Linear8bitLt.__module__ = "bitsandbytes.nn.modules"
    fresh, used = Linear8bitLt(), Linear8bitLt()
    weights = [Int8Params(1024, 0), Int8Params(1024, 0)]
    for layer, weight in zip((fresh, used), weights, strict=True):
        layer.register_parameter("weight", weight)
    weights[0].SCB = torch.empty(7, 0)
    used.state = MatmulLtState()
    assert sorted(size for kind, _, _, size in program.live() if kind == "weight") == [28, 36, 4096, 4096]


def test_scales_that_vllm_keeps_beside_parameters_are_weights(start: Start) -> None:
    program = start()
    torch = program.torch

    class QuantState:
        def __init__(self, scales: int) -> None:
            self.absmax = torch.empty(scales, 0)

    model = torch.nn.Module()
    for name, shards in (("qkv", {0: QuantState(3), 1: QuantState(5)}), ("gate", {0: torch.empty(11, 0)})):
        weight = torch.nn.Parameter(1024, 0)
        weight.bnb_quant_state = shards
        model.register_parameter(name, weight)
    assert sorted(size for kind, _, _, size in program.live() if kind == "weight") == [12, 20, 44, 4096, 4096]


def test_a_tensor_that_refuses_to_say_where_it_lies_costs_nobody_else(start: Start) -> None:
    program = start()
    torch = program.torch

    class Refusing(torch.Tensor):
        def data_ptr(self) -> Any:
            raise RuntimeError("no storage here")

    model = torch.nn.Linear(10, 10, device=0)
    model.register_buffer("odd", Refusing(3, 0))
    assert program.live() == [
        ("activation", None, "residual", 12),
        ("weight", None, "tensor", 40),
        ("weight", None, "tensor", 400),
    ]


def test_models_die_as_they_would_without_us(start: Start) -> None:
    program = start()
    model = program.torch.nn.Linear(1000, 1000, device=0)
    program.report()
    del model
    gc.collect()
    assert program.allocator().allocated_bytes == 0
    assert not program.probe._tensors.has_modules


def test_models_made_before_a_late_attach_are_found(start: Start) -> None:
    def already(torch: Any) -> object:
        model = torch.nn.Linear(10, 10, device=0)
        optimizer = torch.optim.Adam(model.parameters())
        optimizer.step()
        return optimizer, model

    program = start(late=already)
    types = [(kind, subtype) for kind, subtype, _, _ in program.live()]
    assert types == [("other", "optimizer")] * 4 + [("weight", None)] * 2
    assert program.context.seconds > 0


def test_hooks_wake_the_agent_once_per_owner(start: Start) -> None:
    program = start()
    before = program.context.thread_starts
    model = program.torch.nn.Linear(10, 10)
    optimizer = program.torch.optim.Adam(model.parameters())
    optimizer.step()
    optimizer.step()
    assert program.context.thread_starts == before + 2


@pytest.mark.parametrize("version", ["2.0", "2.13"])
def test_threads_that_allocate_are_named_where_asked_for(start: Start, version: str) -> None:
    program = start(version, "threads")
    kept = [program.torch.empty(1000, 0)]

    def work() -> None:
        kept.append(program.torch.empty(5000, 0))
        ids.append(threading.get_native_id())

    ids: list[int] = []
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    allocator = program.allocator()
    assert {owner.thread_id: owner.allocated_bytes for owner in allocator.threads or ()} == {
        threading.get_native_id(): 4096,
        ids[0]: 20_480,
    }
    blocks = allocator.blocks
    assert blocks is not None
    assert blocks.thread is not None
    assert {thread for thread, state in zip(blocks.thread, blocks.state, strict=True) if state == 0} == {NO_THREAD}
    assert program.context.seconds >= 2e-6


def test_a_report_is_of_one_moment_whatever_the_program_does_while_the_agent_rests(start: Start) -> None:
    program = start("2.13", "threads")
    kept: list[Any] = [program.torch.nn.Linear(10, 100, device=0)]
    expected = program.allocator()

    def go_on() -> None:
        kept[:] = [program.torch.empty(2000, 0)]

    program.context.meanwhile = go_on
    allocator = program.allocator()
    assert allocator == expected
    assert [owner.allocated_bytes for owner in allocator.threads or ()] == [allocator.allocated_bytes]
    program.context.meanwhile = lambda: None
    assert program.allocator() != expected


def test_owners_of_freed_memory_are_forgotten(start: Start) -> None:
    program = start("2.13", "threads")
    kept = program.torch.empty(1000, 0)
    assert len(program.probe._owners._owner) == 1
    del kept
    assert program.probe._owners._owner == {}


def test_memory_allocated_before_anybody_listened_belongs_to_nobody(start: Start) -> None:
    program = start(late=lambda torch: torch.empty(1000, 0))
    program.probe._owners.switch_on(program.torch)
    more = program.torch.empty(5000, 0)
    assert sum(owner.allocated_bytes for owner in program.allocator().threads or ()) == 20_480
    del more


def test_without_being_asked_threads_are_no_news(start: Start) -> None:
    program = start()
    kept = program.torch.empty(1000, 0)
    allocator = program.allocator()
    assert allocator.threads is None
    assert allocator.blocks is not None
    assert allocator.blocks.thread is None
    assert not sys.modules["torch._machine"].tracing
    del kept


@pytest.mark.parametrize("version", ["2.0", "2.13"])
def test_the_allocator_is_described_before_the_program_unwinds(start: Start, version: str) -> None:
    program = start(version)
    model = program.torch.nn.Linear(1000, 1000, device=0)
    with pytest.raises(program.torch.cuda.OutOfMemoryError):
        program.torch.empty(1 << 30, 0)
    (oom,) = program.context.ooms
    assert (oom.requested_bytes, oom.gpu_uuid) == (4 << 30, GPU)
    assert oom.device_total_bytes == 1 << 30
    assert oom.thread_id == threading.get_native_id()
    assert oom.allocator is not None
    assert oom.allocator.blocks is not None
    assert sum(oom.allocator.blocks.size) == oom.allocator.reserved_bytes == 22 * MIB
    (step,) = oom.trace
    assert (step.action, step.size) == ("oom", 4 << 30)
    assert not program.context.rests, "the program stands still until it is told"
    stack = oom.stacks[step.stack or 0]
    assert any("test_the_allocator_is_described" in line for line in stack)
    assert not any("out_of_memory.py" in line for line in stack)
    del model


def test_the_history_is_shipped_where_asked_for(start: Start) -> None:
    program = start("2.13", "history")
    kept = program.torch.empty(1000, 0)
    with pytest.raises(program.torch.cuda.OutOfMemoryError):
        program.torch.empty(1 << 30, 0)
    (oom,) = program.context.ooms
    assert [step.action for step in oom.trace] == ["alloc", "oom"]
    assert oom.stacks == (("train.py:7 step",),)
    del kept


def test_the_programs_own_history_is_left_alone(start: Start) -> None:
    def recording(torch: Any) -> object:
        torch.cuda.init()
        torch.cuda.memory._record_memory_history(max_entries=3)
        return torch.empty(10, 0)

    program = start("2.13", "history", late=recording)
    with pytest.raises(program.torch.cuda.OutOfMemoryError):
        program.torch.empty(1 << 30, 0)
    assert sys.modules["torch._machine"].history == {"max_entries": 3}
    assert [step.action for step in program.context.ooms[0].trace] == ["oom"]


def test_a_program_that_fails_in_a_loop_is_described_once_a_second(start: Start) -> None:
    program = start()
    kept = program.torch.empty(10, 0)
    for _ in range(3):
        with pytest.raises(program.torch.cuda.OutOfMemoryError):
            program.torch.empty(1 << 30, 0)
    assert [oom.allocator is not None for oom in program.context.ooms] == [True, False, False]
    del kept


def test_a_failed_allocation_is_told_even_if_the_allocator_cannot_be_asked(start: Start) -> None:
    program = start()
    program.torch.cuda.init()
    program.torch.cuda.memory_snapshot = lambda **_: 1 / 0
    with pytest.raises(program.torch.cuda.OutOfMemoryError):
        program.torch.empty(1 << 30, 0)
    assert program.context.ooms[0].allocator is None
    assert program.context.ooms[0].requested_bytes == 4 << 30


def test_another_backend_has_counters_and_a_reason(start: Start) -> None:
    program = start(FAKE_TORCH_BACKEND="cudaMallocAsync")
    kept = program.torch.empty(1000, 0)
    for full in (True, False):
        allocator = program.allocator(full)
        assert allocator.blocks is None
        assert allocator.allocated_bytes == 4096
        assert allocator.inactive_split_bytes is None
        assert {"inactive_split_bytes", "requested_bytes"} <= allocator.unknown.keys()
        assert ("blocks" in allocator.unknown) is full
    del kept


def test_an_older_version_lists_no_blocks_while_it_records(start: Start) -> None:
    program = start("2.10")
    kept = program.torch.empty(1000, 0)
    assert program.allocator().blocks is not None
    program.torch.cuda.memory._record_memory_history(max_entries=3)
    allocator = program.allocator()
    assert allocator.blocks is None
    assert "history" in allocator.unknown["blocks"]
    assert allocator.reserved_bytes == 2 * MIB
    del kept


def test_requested_bytes_are_not_guessed_while_blocks_wait(start: Start) -> None:
    program = start()
    kept = program.torch.empty(300_000, 0)
    gpu = sys.modules["torch._machine"].gpus[0].allocator
    gpu.free_later(gpu.allocate(400, ACTIVATION, thread_id=1))
    counted = program.allocator(full=False)
    assert counted.requested_bytes is None
    assert "wait" in counted.unknown["requested_bytes"]
    assert program.allocator().requested_bytes == 1_200_000
    gpu.finish_pending()
    assert program.allocator(full=False).requested_bytes == 1_200_000
    del kept


def test_memory_put_to_sleep_is_not_held(start: Start) -> None:
    program = start()
    awake, sleeping = program.torch.empty(3_000_000, 0), program.torch.empty(9_000_000, 0)
    address = sleeping._storage.block.segment.address
    piece = SimpleNamespace(is_asleep=False)
    module: Any = ModuleType("vllm.device_allocator.cumem")
    module.CuMemAllocator = SimpleNamespace(instance=SimpleNamespace(pointer_to_data={address: piece}))
    sys.modules[module.__name__] = module
    before = program.allocator()
    piece.is_asleep = True
    for full in (False, False, True, False):
        allocator = program.allocator(full)
        assert allocator.reserved_bytes == before.reserved_bytes - 36 * MIB
        assert allocator.allocated_bytes == 12 * MIB
        assert allocator.blocks is None or sum(allocator.blocks.size) == allocator.reserved_bytes
    piece.is_asleep = False
    assert program.allocator(full=False).reserved_bytes == before.reserved_bytes
    assert program.allocator() == before
    del awake


def test_more_blocks_than_a_report_holds_are_counters_with_a_reason(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = start()
    monkeypatch.setattr(sys.modules["blackbox.agent.probes.torch.description"], "BLOCKS_MAX", 3)
    kept = [program.torch.empty(1000, 0) for _ in range(4)]
    allocator = program.allocator()
    assert allocator.blocks is None
    assert allocator.unknown["blocks"].startswith("5 blocks")
    assert allocator.allocated_bytes == 4 * 4096
    del kept


def test_a_version_without_hooks_still_tells_its_blocks(start: Start) -> None:
    import torch.nn.modules.module as modules
    import torch.optim.optimizer as optimizers

    del modules.register_module_parameter_registration_hook
    del modules.register_module_buffer_registration_hook
    del optimizers.register_optimizer_step_post_hook
    import torch

    del torch._C._cuda_attach_out_of_memory_observer
    program = start("2.13", "threads", "history")
    kept = torch.empty(1000, 0)
    assert [kind for kind, _, _, _ in program.live()] == ["other"]
    del kept


def test_caches_of_transformers_are_kv_caches(start: Start) -> None:
    program = start()
    torch = program.torch

    class Cache:
        """As in `transformers.cache_utils`."""

        def __init__(self, layers: list[Any]) -> None:
            self.layers = layers

    class OldCache(Cache):
        def __init__(self) -> None:
            super().__init__([])
            self.key_cache, self.value_cache = [torch.empty(3000, 0)], [torch.empty(4000, 0)]

    module = SimpleNamespace(__name__="transformers.cache_utils", Cache=Cache)
    assert sys.modules["blackbox.agent.probes.torch"].make(module, program.context) is None
    cache = Cache([SimpleNamespace(keys=torch.empty(1000, 0), values=torch.empty(2000, 0)), SimpleNamespace()])
    old = OldCache()
    assert program.live() == [("kv_cache", None, "tensor", size) for size in (4000, 8000, 12_000, 16_000)]
    del cache, old
    gc.collect()
    assert program.allocator().allocated_bytes == 0


@pytest.mark.parametrize("name", ["Qwen3NextDynamicCache", "HybridMambaAttentionDynamicCache", "PagedAttentionCache"])
def test_caches_that_a_model_brings_of_its_own_are_kv_caches(start: Start, name: str) -> None:
    program = start()
    torch = program.torch

    def fill(self: Any) -> None:
        self.key_cache, self.conv_states = [None, torch.empty(3000, 0)], {1: torch.empty(4000, 0)}

    of_words = type("VocabTranslatorCache", (), {"__init__": fill, "__module__": "transformers.models.x.modeling_x"})
    cls = type(name, (), {"__init__": fill, "__module__": "transformers.models.x.modeling_x"})
    settings = type(f"{name}Config", (), {"__init__": fill, "__module__": cls.__module__})
    module = SimpleNamespace(__name__=cls.__module__, first=3, VocabTranslatorCache=of_words)
    vars(module).update({name: cls, settings.__name__: settings})
    assert sys.modules["blackbox.agent.probes.torch"].make(module, program.context) is None
    cache, others = cls(), [of_words(), settings()]
    assert [size for kind, _, _, size in program.live() if kind == "kv_cache"] == [12_000, 16_000]
    del cache, others


def test_every_tensor_that_a_cache_holds_is_kv_cache_whatever_it_is_called(start: Start) -> None:
    program = start()
    torch = program.torch

    class Cache:
        def __init__(self, layers: list[Any]) -> None:
            self.layers = layers

    class MambaCache:
        def __init__(self) -> None:
            self.ssm_states = {0: torch.empty(7000, 0)}

    module = SimpleNamespace(__name__="transformers.cache_utils", Cache=Cache, MambaCache=MambaCache)
    sys.modules["blackbox.agent.probes.torch"].make(module, program.context)
    stranger = SimpleNamespace(weight=torch.empty(9000, 0))
    quantized = SimpleNamespace(
        keys=torch.empty(1000, 0),
        _quantized_keys=(torch.empty(2000, 0), {"scale": torch.empty(3000, 0)}),
        config=stranger,
        count=3,
    )
    linear = SimpleNamespace(conv_states={0: torch.empty(4000, 0), 1: None}, recurrent_states=[torch.empty(5000, 0)])
    cache, mamba = Cache([quantized, linear]), MambaCache()
    sizes = [4000, 8000, 12_000, 16_000, 20_000, 28_000]
    assert [size for kind, _, _, size in program.live() if kind == "kv_cache"] == sizes
    del cache, mamba


def test_stacks_do_not_bring_the_compiler_into_the_program(start: Start) -> None:
    program = start("2.13", "history")
    program.torch.empty(50_000, 0)
    assert sys.modules["torch._machine"].history
    program.report()
    with pytest.raises(program.torch.cuda.OutOfMemoryError):
        program.torch.empty(1 << 30, 0)
    assert program.context.ooms[0].trace
    assert "torch._inductor" not in sys.modules
    assert program.torch._inductor is sys.modules["torch._inductor"], "the program itself gets it"


def test_meanwhile_other_threads_get_the_compiler(start: Start) -> None:
    torch = start("2.13").torch
    lazy_imports: Any = importlib.import_module("blackbox.agent.probes.torch.lazy_imports")
    before, seen = torch.__getattr__, []
    with lazy_imports.compiler_hidden(torch):
        assert not hasattr(torch, "_inductor")
        other = threading.Thread(target=lambda: seen.append(hasattr(torch, "_inductor")))
        other.start()
        other.join()
        assert seen == [True]
        assert hasattr(torch, "_inductor"), "imported by now"
    assert torch.__getattr__ is before


def test_a_recorded_history_tells_which_stacks_hold_the_memory(start: Start) -> None:
    program = start("2.13", "history")
    kept = [program.torch.empty(1000, 0) for _ in range(3)]
    dropped = program.torch.empty(900_000, 0)
    del dropped
    allocator = program.allocator()
    assert allocator.stacks is not None
    (stack,) = allocator.stacks
    assert (stack.frames, stack.blocks) == (("train.py:7 step",), 3)
    assert stack.allocated_bytes == allocator.allocated_bytes
    assert program.allocator(full=False).stacks is None, "no news between full reports"
    del kept


def test_blocks_older_than_the_history_have_no_stack(start: Start) -> None:
    program = start("2.13")
    old = program.torch.empty(1000, 0)
    assert program.allocator().stacks is None
    program.torch.cuda.memory._record_memory_history(stacks="python", max_entries=10)
    new = program.torch.empty(500, 0)
    allocator = program.allocator()
    assert allocator.stacks is not None
    assert [stack.blocks for stack in allocator.stacks] == [1]
    assert allocator.stacks[0].allocated_bytes < allocator.allocated_bytes
    del old, new


def test_stacks_of_c_are_not_put_into_words(start: Start) -> None:
    program = start("2.13")
    kept = program.torch.empty(1000, 0)
    program.torch.cuda.memory._record_memory_history(max_entries=10)
    allocator = program.allocator()
    assert allocator.blocks is None
    assert "stacks='python'" in allocator.unknown["blocks"]
    program.torch.cuda.memory._record_memory_history(enabled=None)
    assert program.allocator().blocks is not None
    del kept


@pytest.mark.parametrize(
    ("stacks", "max_entries", "shipped"), [("python", 50_000, True), ("python", 50_001, False), ("all", 10, False)]
)
def test_the_history_that_the_program_records_is_shipped_if_it_is_short_and_of_python(
    stacks: str, max_entries: int, shipped: bool, start: Start
) -> None:
    program = start("2.13")
    program.torch.cuda.init()
    program.torch.cuda.memory._record_memory_history(stacks=stacks, max_entries=max_entries)
    kept = program.torch.empty(1000, 0)
    with pytest.raises(program.torch.cuda.OutOfMemoryError):
        program.torch.empty(1 << 30, 0)
    (oom,) = program.context.ooms
    assert [step.action for step in oom.trace] == (["alloc", "oom"] if shipped else ["oom"])
    del kept
