"""vLLM: V0, the first V1, and what came after them.

`/metrics` tells pages and their use, and no byte. What it tells of the pool is checked against the usage it tells,
so that a version that counts differently shows as unknown and not as a wrong number.
"""

import re
from collections.abc import Mapping

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable, unsupported
from blackbox.sources.engines.metrics import FigureReader, Metrics, share, whole_label
from blackbox.sources.engines.versions import CheckedVersions, told_at

USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""A share from 0 to 1, whatever its name says."""
QUERIES = (
    "vllm:prefix_cache_queries_total",
    "vllm:gpu_prefix_cache_queries_total",
    "vllm:gpu_prefix_cache_queries",
)
HITS = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits")
HIT_RATE_V0 = "vllm:gpu_prefix_cache_hit_rate"
RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
PREEMPTIONS = ("vllm:num_preemptions_total", "vllm:num_preemptions")
CONFIG = "vllm:cache_config_info"
SLEEP = "vllm:engine_sleep_state"
"""One line for each state, 1 in the one that is on; in none where it was only paused (sleep of level 0)."""
AWAKE, ASLEEP = "awake", ("weights_offloaded", "discard_all")
PAUSED = "its weights are in memory, but it is paused; whether its cache was given up /metrics does not tell"
ONLY_V0 = ("vllm:num_requests_swapped", "vllm:cpu_cache_usage_perc")
WHOLE_WITHIN = 1e-6
"""How far usage times pages may be off a whole number: usage is told with 16 digits."""


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """One engine per data-parallel rank."""
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    told = [line for name in (*USAGE, RUNNING) for line in metrics.series.get(name, ())]
    ranks = sorted({line.labels.get("engine", "") for line in told}, key=lambda rank: (len(rank), rank))
    if not ranks:
        return (ScrapedEngine(unsupported("vllm", f"/metrics has none of {', '.join((*USAGE, RUNNING))}")),)
    return tuple(ScrapedEngine(_engine(metrics, rank, len(ranks)), rank or "0") for rank in ranks)


def _engine(metrics: Metrics, rank: str, ranks: int) -> InferenceEngine:
    reading = FigureReader(metrics, engine=rank)
    usage = reading.ratio("kv_usage_ratio", *USAGE)
    total = _pages(reading, metrics, rank, ranks)
    sleep = () if SLEEP in metrics.unread else metrics.of(SLEEP, {"engine": rank})
    states = {line.labels.get("sleep_state"): line.value == 1 for line in sleep}
    is_v0 = not rank and any(map(metrics.has, ONLY_V0))
    engine = InferenceEngine(
        kind="vllm",
        pid=None,
        model=_model(metrics, rank),
        kv_pages_total=total,
        kv_pages_used=_used(reading, usage, total, is_v0),
        kv_usage_ratio=usage,
        prefix_hit_ratio=_hit_ratio(reading, metrics),
        requests_running=reading.count("requests_running", RUNNING),
        requests_waiting=reading.count("requests_waiting", WAITING),
        preemptions_total=reading.count("preemptions_total", *PREEMPTIONS),
        sleeping=_is_asleep(states) if AWAKE in states else None,
    )
    reading.none("kv_pages_cached", "/metrics counts cached pages as free; the agent inside tells them apart")
    return explained(engine, reading.reasons, "/metrics does not tell", _notes(states))


def _notes(states: Mapping[str | None, bool]) -> dict[str, str]:
    """The cache is given up in every sleep mode that gives up the weights."""
    if states.get(AWAKE, True):
        return {}
    if _is_asleep(states):
        return {"kv_pages_total": "it sleeps: none of them is in memory"}
    return {"sleeping": PAUSED, "kv_pages_total": PAUSED}


def _is_asleep(states: Mapping[str | None, bool]) -> bool:
    return not states.get(AWAKE, True) and any(states.get(state) for state in ASLEEP)


def _model(metrics: Metrics, rank: str) -> str | None:
    lines = [line for name in (*USAGE, RUNNING) for line in metrics.of(name, {"engine": rank})]
    return next((printable(name) for line in lines if (name := line.labels.get("model_name"))), None)


def _pages(reading: FigureReader, metrics: Metrics, rank: str, ranks: int) -> int | None:
    """Pages of one engine's pool: `num_gpu_blocks` is the sum of all engines behind the address."""
    field = "kv_pages_total"
    if CONFIG not in metrics.series:
        why = f"/metrics has no {CONFIG}, as with vLLM's Rust front end; the agent inside knows it"
        return reading.none(field, why)
    lines = metrics.of(CONFIG, {"engine": rank}) or metrics.of(CONFIG, {"engine": ""})
    if len(lines) != 1:
        return reading.none(field, f"/metrics has {len(lines)} lines of {CONFIG} for this engine")
    labels = lines[0].labels
    total = whole_label(labels.get("num_gpu_blocks"))
    if total is None:
        return reading.none(field, f"num_gpu_blocks is {printable(labels.get('num_gpu_blocks'))}")
    if ranks == 1:
        return total
    tokens, page_tokens = whole_label(labels.get("kv_cache_size_tokens")), whole_label(labels.get("block_size"))
    if tokens and page_tokens and tokens * ranks == total * page_tokens:
        return total // ranks
    return reading.none(field, f"{ranks} engines have {total} pages together, and not as many each")


def _used(reading: FigureReader, usage: float | None, total: int | None, is_v0: bool) -> int | None:
    """Pages referenced by requests: usage is a share of the whole pool, in later versions less the null page."""
    field = "kv_pages_used"
    if usage is None or not total:
        return reading.none(field, "follows from kv_usage_ratio and kv_pages_total, which are not both known")
    without_null, with_null = usage * (total - 1), usage * total
    # between the two the null page counted as used; in a pool of a million pages both can look whole
    readings = ((with_null, 0),) if is_v0 else ((without_null, 0), (with_null, 1))
    pages, null_pages = min(readings, key=lambda reading: _off_whole(reading[0]))
    if _off_whole(pages) < WHOLE_WITHIN:
        return round(pages) - null_pages
    return reading.none(field, f"a usage of {usage:g} is no whole number of {total} pages")


def _hit_ratio(reading: FigureReader, metrics: Metrics) -> float | None:
    field = "prefix_hit_ratio"
    if HIT_RATE_V0 in metrics.series and not any(name in metrics.series for name in QUERIES):
        return reading.ratio(field, HIT_RATE_V0)
    return share(reading, field, reading.count(field, *HITS), reading.count(field, *QUERIES))


def _off_whole(value: float) -> float:
    return abs(value - round(value))


ADAPTER = Adapter(
    kind="vllm",
    programs=re.compile(r"\bvllm\b", re.IGNORECASE),
    read=read,
    names=frozenset((*USAGE, *QUERIES, *HITS, HIT_RATE_V0, RUNNING, WAITING, *PREEMPTIONS, CONFIG, SLEEP, *ONLY_V0)),
    namespace="vllm:",
    checked=CheckedVersions("0.6", "0.32", "November 2026"),
    version=told_at("/version"),
)
