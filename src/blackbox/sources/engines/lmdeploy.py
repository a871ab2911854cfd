"""lmdeploy: both its engines, PyTorch's and TurboMind, behind one page.

What it calls the usage of the cache is one of four things, by engine and version, and the page does not tell which. So
the share is told with a note, and no page is counted from it.
"""

import re

from msgspec import Struct

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable, unsupported
from blackbox.sources.engines.metrics import FigureReader, Metrics
from blackbox.sources.engines.versions import CheckedVersions

RUNNING = "lmdeploy:num_requests_running"
WAITING = "lmdeploy:num_requests_waiting"
USAGE = "lmdeploy:gpu_cache_usage_perc"
HIT_RATE = "lmdeploy:prefix_cache_hit_rate"
"""0.14 and newer."""
PROMPT_TOKENS = "lmdeploy:prompt_tokens_total"
MEANINGS = (
    "one of four, which /metrics does not tell: with the PyTorch engine up to 0.17 the share of pages that are not"
    " free, prefixes that are kept counting as used; with the PyTorch engine since 0.18 that of pages which requests"
    " hold, those of stopped ones left out, unless LMDEPLOY_ENABLE_REQUEST_CACHE_USAGE_METRIC is 0; with TurboMind up"
    " to 0.14 the share of blocks that are not free; with TurboMind since 0.15 the share of bytes in live cache objects"
)


class SleepPage(Struct):
    is_sleeping: bool


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """One engine per data-parallel rank."""
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    told = [line for name in (USAGE, RUNNING) for line in metrics.series.get(name, ())]
    ranks = sorted({line.labels.get("engine", "") for line in told}, key=lambda rank: (len(rank), rank))
    if not ranks:
        return (ScrapedEngine(unsupported("lmdeploy", f"/metrics has neither {USAGE} nor {RUNNING}")),)
    page = scrape.json("/is_sleeping", SleepPage)
    sleeping = None if page is None else page.is_sleeping
    return tuple(ScrapedEngine(_engine(metrics, rank, sleeping), rank or None) for rank in ranks)


def _engine(metrics: Metrics, rank: str, sleeping: bool | None) -> InferenceEngine:
    reading = FigureReader(metrics, engine=rank)
    lines = [line for name in (USAGE, RUNNING) for line in metrics.of(name, {"engine": rank})]
    engine = InferenceEngine(
        kind="lmdeploy",
        pid=None,
        model=next((printable(name) for line in lines if (name := line.labels.get("model_name"))), None),
        kv_usage_ratio=reading.ratio("kv_usage_ratio", USAGE),
        prefix_hit_ratio=_hit_ratio(reading),
        requests_running=reading.count("requests_running", RUNNING),
        requests_waiting=reading.count("requests_waiting", WAITING),
        sleeping=sleeping,
    )
    no_pages = "/metrics tells a share, and no pages"
    pages = dict.fromkeys(("kv_pages_total", "kv_pages_used", "kv_pages_cached"), no_pages)
    return explained(engine, pages | reading.reasons, "/metrics does not tell", {"kv_usage_ratio": MEANINGS})


def _hit_ratio(reading: FigureReader) -> float | None:
    field = "prefix_hit_ratio"
    if reading.count(field, PROMPT_TOKENS) == 0:
        return reading.none(field, "0 of 0 so far")
    return reading.ratio(field, HIT_RATE)


ADAPTER = Adapter(
    kind="lmdeploy",
    programs=re.compile(r"\blmdeploy\b", re.IGNORECASE),
    read=read,
    names=frozenset((RUNNING, WAITING, USAGE, HIT_RATE, PROMPT_TOKENS)),
    namespace="lmdeploy:",
    checked=CheckedVersions("0.9", "0.18", "December 2026"),
)
