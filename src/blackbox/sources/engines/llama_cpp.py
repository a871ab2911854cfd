"""llama.cpp's server: its slots, or its `/metrics` where it tells no slots.

Slots come first because each question to `/metrics` starts its averages anew, and whoever else reads them would see it.

A server that puts its model to sleep when nobody asks (since December 2025) takes either question for work: it would
wake, or never fall asleep. Its `/props` may be asked at all times and tells whether it sleeps; the rest is asked only
while its process works anyway.
"""

import re
from pathlib import PurePath

from msgspec import Struct

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable
from blackbox.sources.engines.metrics import FigureReader, Metrics
from blackbox.sources.engines.versions import CheckedVersions

RUNNING = "llamacpp:requests_processing"
WAITING = "llamacpp:requests_deferred"
USAGE = "llamacpp:kv_cache_usage_ratio"
"""In versions until 2025."""
NO_PAGES = "llama.cpp keeps its cache in no pages"
NO_USAGE = "no longer told"
KEPT_AWAKE = "a question about requests would wake it or keep it awake"


class Slot(Struct):
    """A place for one request. Its prompt, which old versions tell, is not read."""

    id: int
    is_processing: bool


class Properties(Struct):
    model_alias: str | None = None
    model_path: str | None = None
    is_sleeping: bool | None = None
    """None in versions that cannot sleep."""
    build_info: str | None = None


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """The one engine of the server."""
    properties = scrape.lasting("/props", Properties) or Properties()
    model = _model(properties)
    if properties.is_sleeping is not None:
        properties = scrape.json("/props", Properties) or Properties()
        is_working = scrape.is_working
        if properties.is_sleeping is not False or not is_working:
            return (ScrapedEngine(_at_rest(model, properties.is_sleeping, is_working)),)
    slots = scrape.json("/slots", list[Slot])
    if slots is not None:
        return (ScrapedEngine(_of_slots(slots, model, properties.is_sleeping)),)
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    return (ScrapedEngine(_of_metrics(metrics, model, properties.is_sleeping)),)


def _at_rest(model: str | None, sleeps: bool | None, is_working: bool | None) -> InferenceEngine:
    """Asleep, or left alone so that it can fall asleep. It works on nothing where its process rests."""
    is_idle = sleeps is True or is_working is False
    engine = InferenceEngine(
        kind="llama.cpp", pid=None, model=model, sleeping=sleeps, requests_running=0 if is_idle else None
    )
    why = "it sleeps" if sleeps else "its process takes no CPU time"
    reasons = {"requests_running": KEPT_AWAKE, "requests_waiting": KEPT_AWAKE, "kv_usage_ratio": NO_USAGE}
    return _explained(engine, reasons, {"requests_running": f"derived, since {why}: {KEPT_AWAKE}"})


def _of_slots(slots: list[Slot], model: str | None, sleeping: bool | None) -> InferenceEngine:
    engine = InferenceEngine(
        kind="llama.cpp",
        pid=None,
        model=model,
        sleeping=sleeping,
        requests_running=sum(slot.is_processing for slot in slots),
    )
    reasons = {
        "requests_waiting": "told by /metrics alone, which is not asked: that would reset its averages",
        "kv_usage_ratio": NO_USAGE,
    }
    return _explained(engine, reasons)


def _of_metrics(metrics: Metrics, model: str | None, sleeping: bool | None) -> InferenceEngine:
    reading = FigureReader(metrics)
    engine = InferenceEngine(
        kind="llama.cpp",
        pid=None,
        model=model,
        sleeping=sleeping,
        kv_usage_ratio=reading.ratio("kv_usage_ratio", USAGE),
        requests_running=reading.count("requests_running", RUNNING),
        requests_waiting=reading.count("requests_waiting", WAITING),
    )
    return _explained(engine, reading.reasons)


def _explained(
    engine: InferenceEngine, reasons: dict[str, str], notes: dict[str, str] | None = None
) -> InferenceEngine:
    pages = dict.fromkeys(("kv_pages_total", "kv_pages_used", "kv_pages_cached"), NO_PAGES)
    return explained(engine, pages | reasons, "llama.cpp does not tell", notes)


def _model(properties: Properties) -> str | None:
    """Its alias, or the name of its file: where that lies is nobody's business."""
    return printable(PurePath(properties.model_alias or properties.model_path or "").name) or None


def _version(scrape: Scrape) -> str | None:
    return (scrape.lasting("/props", Properties) or Properties()).build_info


ADAPTER = Adapter(
    kind="llama.cpp",
    programs=re.compile(r"\bllama[-_.](?:server|cpp)\b"),
    read=read,
    names=frozenset((RUNNING, WAITING, USAGE)),
    namespace="llamacpp:",
    checked=CheckedVersions("b4000", "b9760", "November 2026"),
    version=_version,
)
