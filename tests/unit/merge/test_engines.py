"""Engines told of twice."""

import pytest

from blackbox.merge import merge
from blackbox.merge.engines import merge_engines
from blackbox.model.parts import InferenceEngine
from tests.moments import NOW, device, moment, process, sample

INSIDE = InferenceEngine(
    kind="vllm",
    pid=7,
    model=None,
    kv_pages_cached=30,
    kv_pages_used=60,
    unknown={"preemptions_total": "not told inside", "model": "not told inside"},
)
OUTSIDE = InferenceEngine(
    kind="vllm", pid=7, model="tiny", kv_pages_used=59, preemptions_total=2, unknown={"kv_pages_cached": "not told"}
)


def test_an_engine_seen_from_inside_and_outside_is_one_and_the_inside_is_believed_first() -> None:
    (engine,) = merge_engines([INSIDE, OUTSIDE])
    assert (engine.kv_pages_cached, engine.kv_pages_used, engine.preemptions_total) == (30, 60, 2)
    assert engine.model == "tiny"
    assert engine.unknown == {}


def test_what_neither_knows_keeps_its_reason() -> None:
    (engine,) = merge_engines([INSIDE, InferenceEngine(kind="vllm", pid=7, model=None)])
    assert engine == INSIDE


def test_others_stay_apart() -> None:
    engines = [
        INSIDE,
        InferenceEngine(kind="vllm", pid=8, model="tiny"),
        InferenceEngine(kind="ollama", pid=7, model="tiny"),
        InferenceEngine(kind="ollama", pid=None, model="tiny"),
        InferenceEngine(kind="ollama", pid=None, model="tiny"),
    ]
    assert list(merge_engines(engines)) == engines


def test_an_engine_told_of_twice_has_all_its_processes_and_the_older_time() -> None:
    inside = InferenceEngine(kind="vllm", pid=7, model=None, pids=(8,), taken_at=5.0)
    outside = InferenceEngine(kind="vllm", pid=7, model=None, pids=(8, 9), taken_at=3.0)
    (engine,) = merge_engines([inside, outside])
    assert (engine.pids, engine.taken_at) == ((8, 9), 3.0)


TENSOR_PARALLEL = InferenceEngine(kind="vllm", pid=7, model="tiny", pids=(8, 9), taken_at=NOW - 2)
"""Its core is on no GPU, one worker on each."""


@pytest.mark.parametrize(
    ("gpu", "engines"), [(None, [("tiny", (0, 1))]), ("0", [("tiny", (0,))]), ("1", [("tiny", (1,))]), ("2", [])]
)
def test_an_engine_is_on_every_gpu_that_its_workers_are_on(gpu: str | None, engines: list[object]) -> None:
    rows = [process(8, "GPU-0"), process(9, "GPU-1"), process(10, "GPU-2")]
    told = sample([device(0), device(1), device(2)], rows, engines=(TENSOR_PARALLEL,))
    snapshot = merge(moment(told), gpu)
    assert [(engine.model, engine.gpus) for engine in snapshot.engines] == engines
    assert all((engine.pid, engine.pids, engine.age_seconds) == (7, (8, 9), 2.0) for engine in snapshot.engines)
