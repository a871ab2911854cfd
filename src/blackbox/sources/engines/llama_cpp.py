"""llama.cpp's server: its slots, or its `/metrics` where it tells no slots.

Slots come first because each question to `/metrics` starts its averages anew, and whoever else reads them would see it.
"""

import re
from pathlib import PurePath

from msgspec import Struct

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable
from blackbox.sources.engines.metrics import FigureReader, Metrics

RUNNING = "llamacpp:requests_processing"
WAITING = "llamacpp:requests_deferred"
USAGE = "llamacpp:kv_cache_usage_ratio"
"""In versions until 2025."""
NO_PAGES = "llama.cpp keeps its cache in no pages"


class Slot(Struct):
    """A place for one request. Its prompt, which old versions tell, is not read."""

    id: int
    is_processing: bool


class Properties(Struct):
    model_alias: str | None = None
    model_path: str | None = None


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """The one engine of the server."""
    slots = scrape.json("/slots", list[Slot])
    if slots is not None:
        return (ScrapedEngine(_of_slots(slots, _model(scrape))),)
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    return (ScrapedEngine(_of_metrics(metrics, _model(scrape))),)


def _of_slots(slots: list[Slot], model: str | None) -> InferenceEngine:
    engine = InferenceEngine(
        kind="llama.cpp", pid=None, model=model, requests_running=sum(slot.is_processing for slot in slots)
    )
    reasons = {
        "requests_waiting": "told by /metrics alone, which is not asked: that would reset its averages",
        "kv_usage_ratio": "no longer told",
    }
    return _explained(engine, reasons)


def _of_metrics(metrics: Metrics, model: str | None) -> InferenceEngine:
    reading = FigureReader(metrics)
    engine = InferenceEngine(
        kind="llama.cpp",
        pid=None,
        model=model,
        kv_usage_ratio=reading.ratio("kv_usage_ratio", USAGE),
        requests_running=reading.count("requests_running", RUNNING),
        requests_waiting=reading.count("requests_waiting", WAITING),
    )
    return _explained(engine, reading.reasons)


def _explained(engine: InferenceEngine, reasons: dict[str, str]) -> InferenceEngine:
    pages = dict.fromkeys(("kv_pages_total", "kv_pages_used", "kv_pages_cached"), NO_PAGES)
    return explained(engine, pages | reasons, "llama.cpp does not tell")


def _model(scrape: Scrape) -> str | None:
    """Its alias, or the name of its file: where that lies is nobody's business."""
    properties = scrape.lasting("/props", Properties) or Properties()
    return printable(PurePath(properties.model_alias or properties.model_path or "").name) or None


ADAPTER = Adapter(
    kind="llama.cpp",
    programs=re.compile(r"\bllama[-_.](?:server|cpp)\b"),
    read=read,
    names=frozenset((RUNNING, WAITING, USAGE)),
    namespace="llamacpp:",
)
