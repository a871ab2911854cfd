"""Triton: the KV cache of its TensorRT-LLM backend; of other backends, who waits."""

import re

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable
from blackbox.sources.engines.metrics import FigureReader, Metrics

PAGES = "nv_trt_llm_kv_cache_block_metrics"
REQUESTS = "nv_trt_llm_request_metrics"
PENDING = "nv_inference_pending_request_count"


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """One engine per model of the TensorRT-LLM backend, or else one for the whole server."""
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    told = [line for name in (PAGES, REQUESTS) for line in metrics.series.get(name, ())]
    models = sorted({(line.labels.get("model", ""), line.labels.get("version", "")) for line in told})
    if not models:
        return (ScrapedEngine(_without_cache(metrics)),)
    return tuple(ScrapedEngine(_engine(metrics, *model), model[0]) for model in models)


def _engine(metrics: Metrics, model: str, version: str) -> InferenceEngine:
    reading = FigureReader(metrics, model=model, version=version)
    engine = InferenceEngine(
        kind="triton",
        pid=None,
        model=printable(model) or None,
        kv_pages_total=reading.count("kv_pages_total", PAGES, kv_cache_block_type="max"),
        kv_pages_used=reading.count("kv_pages_used", PAGES, kv_cache_block_type="used"),
        kv_usage_ratio=reading.ratio("kv_usage_ratio", PAGES, kv_cache_block_type="fraction"),
        requests_running=reading.count("requests_running", REQUESTS, request_type="scheduled"),
        requests_waiting=reading.count("requests_waiting", REQUESTS, request_type="waiting"),
    )
    return explained(engine, reading.reasons, "Triton's /metrics does not tell")


def _without_cache(metrics: Metrics) -> InferenceEngine:
    reading = FigureReader(metrics)
    models = {line.labels.get("model", "") for line in metrics.series.get(PENDING, ())}
    engine = InferenceEngine(
        kind="triton",
        pid=None,
        model=printable(next(iter(models))) if len(models) == 1 else None,
        requests_waiting=reading.sum("requests_waiting", PENDING),
    )
    return explained(engine, reading.reasons, f"unsupported backend of Triton: /metrics has no {PAGES}")


ADAPTER = Adapter(
    kind="triton",
    programs=re.compile(r"\btritonserver\b"),
    read=read,
    names=frozenset((PAGES, REQUESTS, PENDING)),
    namespace="nv_",
)
