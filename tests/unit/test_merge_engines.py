"""Engines told of twice."""

from blackbox.merge.engines import joined
from blackbox.model.sample import InferenceEngine

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
    (engine,) = joined([INSIDE, OUTSIDE])
    assert (engine.kv_pages_cached, engine.kv_pages_used, engine.preemptions_total) == (30, 60, 2)
    assert engine.model == "tiny"
    assert engine.unknown == {}


def test_what_neither_knows_keeps_its_reason() -> None:
    (engine,) = joined([INSIDE, InferenceEngine(kind="vllm", pid=7, model=None)])
    assert engine == INSIDE


def test_others_stay_apart() -> None:
    engines = [
        INSIDE,
        InferenceEngine(kind="vllm", pid=8, model="tiny"),
        InferenceEngine(kind="ollama", pid=7, model="tiny"),
        InferenceEngine(kind="ollama", pid=None, model="tiny"),
        InferenceEngine(kind="ollama", pid=None, model="tiny"),
    ]
    assert list(joined(engines)) == engines
