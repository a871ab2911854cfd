"""TensorRT-LLM's own server (`trtllm-serve`).

Its `/metrics` is JSON, and each question empties it: whoever else reads it would miss what we took. The figures stand
at `/prometheus/metrics`, which is asked first. Where a server has no such page, one look at `/metrics` tells what it
is, and no second follows; a server without `/version` is not looked at like that.
"""

import re

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable
from blackbox.sources.engines.metrics import FigureReader, Metrics
from blackbox.sources.engines.versions import CheckedVersions, told_at

PAGE = "/prometheus/metrics"
PAGES = "trtllm_kv_cache_max_blocks"
USED_PAGES = "trtllm_kv_cache_used_blocks"
USAGE = "trtllm_kv_cache_utilization"
HIT_RATE = "trtllm_kv_cache_hit_rate"
RUNNING = "trtllm_num_requests_running"
WAITING = "trtllm_num_requests_waiting"
SUCCESSES = "trtllm_request_success_total"
IS_JSON = "/metrics is JSON that each question empties"
"""Remembered of an address and a version, so that it is not asked again."""
NOTHING_YET = f"{PAGE} is there, and has no figure before the first request"
NOT_MOUNTED = f"told at {PAGE} alone, which this server does not have: it wants return_perf_metrics; and {IS_JSON}"


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """The one engine of the server."""
    metrics = scrape.metrics(PAGE)
    if ADAPTER.namespace in metrics.namespaces:
        return (ScrapedEngine(_engine(metrics)),)
    version = ADAPTER.version(scrape)
    if version is None:
        return None
    if metrics.is_bare:
        return (ScrapedEngine(_silent(NOTHING_YET)),)
    seen = f"{IS_JSON} ({version})"
    if not scrape.remembers(seen):
        if not scrape.metrics().is_json_list:
            return None
        scrape.remember(seen)
    return (ScrapedEngine(_silent(NOT_MOUNTED)),)


def _silent(why: str) -> InferenceEngine:
    return explained(InferenceEngine(kind="tensorrt-llm", pid=None, model=None), {}, why)


def _engine(metrics: Metrics) -> InferenceEngine:
    reading = FigureReader(metrics)
    lines = [line for name in (RUNNING, PAGES, USAGE, SUCCESSES) for line in metrics.series.get(name, ())]
    engine = InferenceEngine(
        kind="tensorrt-llm",
        pid=None,
        model=next((printable(name) for line in lines if (name := line.labels.get("model_name"))), None),
        kv_pages_total=reading.count("kv_pages_total", PAGES),
        kv_pages_used=reading.count("kv_pages_used", USED_PAGES),
        kv_usage_ratio=reading.ratio("kv_usage_ratio", USAGE),
        prefix_hit_ratio=reading.ratio("prefix_hit_ratio", HIT_RATE),
        requests_running=reading.count("requests_running", RUNNING),
        requests_waiting=reading.count("requests_waiting", WAITING),
    )
    notes = {"prefix_hit_ratio": "of pages, not of tokens"}
    return explained(engine, reading.reasons, f"{PAGE} does not tell", notes)


ADAPTER = Adapter(
    kind="tensorrt-llm",
    programs=re.compile(r"\btrtllm-serve\b|\btensorrt_llm\b"),
    read=read,
    names=frozenset((PAGES, USED_PAGES, USAGE, HIT_RATE, RUNNING, WAITING, SUCCESSES)),
    namespace="trtllm_",
    checked=CheckedVersions("1.0", "1.3", "September 2026"),
    version=told_at("/version"),
)
