"""Hugging Face's Text Generation Inference: who runs, and who waits. It counts tokens, and no pages."""

import re

from msgspec import Struct

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable
from blackbox.sources.engines.metrics import FigureReader
from blackbox.sources.engines.versions import CheckedVersions, told_at

RUNNING = "tgi_batch_current_size"
WAITING = "tgi_queue_size"
BUDGET = "a budget of tokens that requests may come to take, and no pages"


class InfoPage(Struct):
    model_id: str


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """The one engine of the server."""
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    reading = FigureReader(metrics)
    info = scrape.lasting("/info", InfoPage)
    engine = InferenceEngine(
        kind="tgi",
        pid=None,
        model=printable(info.model_id) if info is not None else None,
        # neither is on the page before its first request
        requests_running=reading.count("requests_running", RUNNING) if metrics.has(RUNNING) else 0,
        requests_waiting=reading.count("requests_waiting", WAITING) if metrics.has(WAITING) else 0,
    )
    pages = ("kv_pages_total", "kv_pages_used", "kv_pages_cached", "kv_usage_ratio")
    reasons = dict.fromkeys(pages, f"/metrics tells {BUDGET}")
    return (ScrapedEngine(explained(engine, reasons | reading.reasons, "/metrics does not tell")),)


ADAPTER = Adapter(
    kind="tgi",
    programs=re.compile(r"\btext-generation-(?:launcher|router|server)\b"),
    read=read,
    names=frozenset((RUNNING, WAITING)),
    namespace="tgi_",
    checked=CheckedVersions("1.0", "3.3", "November 2026"),
    version=told_at("/info"),
)
