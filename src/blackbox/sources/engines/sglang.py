"""SGLang: its pool is counted in tokens; pages follow where it tells their size.

Models with several pools (sliding window, Mamba) tell the usage of each; here it is that of full attention, which has
the pages. Where priorities are on, each gauge has a line for every priority beside the total, whose label is empty.
Counters are not on the page before their first event. Its version is told at `/server_info` alone, which asks the
scheduler, so nobody asks for it.
"""

import re
from collections.abc import Mapping

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable, unsupported
from blackbox.sources.engines.metrics import FigureReader, MetricLine, Metrics, share, whole_label
from blackbox.sources.engines.versions import CheckedVersions

RUNNING = "sglang:num_running_reqs"
WAITING = "sglang:num_queue_reqs"
USAGE = "sglang:token_usage"
"""Of the fullest pool, rounded."""
FULL_USAGE = "sglang:full_token_usage"
"""Of the pool for full attention (0.5.11 and newer)."""
OTHER_USAGES = ("sglang:swa_token_usage", "sglang:mamba_usage")
"""Of the pools that only some models have; 0 where there is none."""
USED_TOKENS = "sglang:kv_used_tokens"
USED_TOKENS_OF_ANY = "sglang:num_used_tokens"
"""Of the fuller pool where there are several: all that versions before 0.5.11 tell."""
CACHED_TOKENS = "sglang:kv_evictable_tokens"
PAGES = "sglang:num_pages"
PAGE_TOKENS = "sglang:page_size"
CONFIG = "sglang:cache_config_info"
"""Before 0.5.11, with page size and count as labels."""
PROMPT_TOKENS = "sglang:prompt_tokens_total"
HIT_TOKENS = "sglang:cached_tokens_total"
RETRACTIONS = ("sglang:num_retracted_requests_total", "sglang:total_retracted_reqs")
"""Not `num_retracted_reqs`, which versions count differently."""
RANKS_WITHIN = ("pp_rank", "tp_rank", "moe_ep_rank")
"""Of an engine, each of which may tell the same; the first does always. With data-parallel attention that is not 0:
ranks are numbered through all engines (0.5)."""


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """One engine per data-parallel rank."""
    metrics = scrape.metrics()
    if ADAPTER.namespace not in metrics.namespaces:
        return None
    first = _of_first_ranks(metrics)
    told = [line for name in (FULL_USAGE, USAGE, RUNNING) for line in first.series.get(name, ())]
    ranks = sorted({line.labels.get("dp_rank", "") for line in told}, key=lambda rank: (len(rank), rank))
    if not ranks:
        return (ScrapedEngine(unsupported("sglang", f"/metrics has none of {FULL_USAGE}, {USAGE}, {RUNNING}")),)
    return tuple(ScrapedEngine(_engine(first, rank, len(ranks)), rank or None) for rank in ranks)


def _of_first_ranks(metrics: Metrics) -> Metrics:
    """Of each engine, the lines of its first rank and those that bear no rank."""
    first: dict[str, tuple[int, ...]] = {}
    for name in (FULL_USAGE, USAGE, RUNNING):
        for line in metrics.series.get(name, ()):
            engine, place = line.labels.get("dp_rank", ""), _place(line)
            first[engine] = min(first.get(engine, place), place)
    return metrics._replace(
        series={name: [line for line in lines if _is_of(line, first)] for name, lines in metrics.series.items()}
    )


def _place(line: MetricLine) -> tuple[int, ...]:
    return tuple(whole_label(line.labels.get(name)) or 0 for name in RANKS_WITHIN)


def _is_of(line: MetricLine, first: Mapping[str, tuple[int, ...]]) -> bool:
    if not any(line.labels.get(name) for name in RANKS_WITHIN):
        return True
    return _place(line) == first.get(line.labels.get("dp_rank", ""))


def _engine(metrics: Metrics, rank: str, ranks: int) -> InferenceEngine:
    reading = FigureReader(metrics, dp_rank=rank, priority="")
    page_tokens = _page_figure(reading, metrics, rank, PAGE_TOKENS, "page_size")
    engine = InferenceEngine(
        kind="sglang",
        pid=None,
        model=_model(metrics, rank),
        kv_pages_total=_page_figure(reading, metrics, rank, PAGES, "num_pages"),
        kv_pages_used=_pages(reading, "kv_pages_used", page_tokens, _used_tokens(reading, metrics, rank)),
        kv_pages_cached=_pages(
            reading, "kv_pages_cached", page_tokens, reading.count("kv_pages_cached", CACHED_TOKENS)
        ),
        kv_usage_ratio=_usage(reading, metrics, rank),
        prefix_hit_ratio=_hit_ratio(reading, metrics, ranks),
        requests_running=reading.count("requests_running", RUNNING),
        requests_waiting=reading.count("requests_waiting", WAITING),
        preemptions_total=_retractions(reading, metrics, rank),
    )
    return explained(engine, reading.reasons, "/metrics does not tell", reading.notes)


def _model(metrics: Metrics, rank: str) -> str | None:
    lines = [line for name in (USAGE, RUNNING) for line in metrics.of(name, {"dp_rank": rank})]
    return next((printable(name) for line in lines if (name := line.labels.get("model_name"))), None)


def _page_figure(reading: FigureReader, metrics: Metrics, rank: str, name: str, label: str) -> int | None:
    if metrics.of(name, {"dp_rank": rank}):
        return reading.count("kv_pages_total", name)
    told = {line.labels.get(label, "") for line in metrics.of(CONFIG, {"dp_rank": rank})}
    number = whole_label(told.pop()) if len(told) == 1 else None
    if number is not None:
        return number
    return reading.none("kv_pages_total", f"/metrics has neither {name} nor {CONFIG}")


def _has_several_pools(metrics: Metrics, rank: str) -> bool:
    lines = [line for name in OTHER_USAGES for line in metrics.of(name, {"dp_rank": rank, "priority": ""})]
    return any(line.value > 0 for line in lines)


def _usage(reading: FigureReader, metrics: Metrics, rank: str) -> float | None:
    """Of the pool that `kv_pages_total` counts."""
    field = "kv_usage_ratio"
    if metrics.of(FULL_USAGE, {"dp_rank": rank}):
        return reading.ratio(field, FULL_USAGE)
    usage = reading.ratio(field, USAGE)
    if usage is not None and _has_several_pools(metrics, rank):
        reading.notes[field] = "of the fullest of several pools: this version tells no other"
    return usage


def _used_tokens(reading: FigureReader, metrics: Metrics, rank: str) -> int | None:
    field = "kv_pages_used"
    if not metrics.of(USED_TOKENS, {"dp_rank": rank}) and _has_several_pools(metrics, rank):
        return reading.none(field, "this version counts the tokens of the fuller of several pools")
    return reading.count(field, USED_TOKENS, USED_TOKENS_OF_ANY)


def _retractions(reading: FigureReader, metrics: Metrics, rank: str) -> int | None:
    """0 before the first where this version has the counter: it is not on the page until then."""
    has_counter = any(metrics.of(name, {"dp_rank": rank}) for name in (PAGES, CONFIG))
    told = any(metrics.of(name, {"dp_rank": rank}) or name in metrics.unread for name in RETRACTIONS)
    if has_counter and not told:
        return 0
    return reading.count("preemptions_total", *RETRACTIONS)


def _pages(reading: FigureReader, field: str, page_tokens: int | None, tokens: int | None) -> int | None:
    if tokens is None:
        return None
    if not page_tokens:
        return reading.none(field, f"{tokens} tokens, in pages of unknown size")
    if tokens % page_tokens:
        return reading.none(field, f"{tokens} tokens are no whole number of pages of {page_tokens}")
    return tokens // page_tokens


def _hit_ratio(reading: FigureReader, metrics: Metrics, ranks: int) -> float | None:
    field = "prefix_hit_ratio"
    if ranks > 1:
        return reading.none(field, f"counted for {ranks} engines together")
    whole = FigureReader(metrics)  # counted in front of the engine, without its rank, by source and by priority
    tokens = whole.sum(field, PROMPT_TOKENS)
    if tokens is None and not metrics.has(PROMPT_TOKENS):  # counters are not on the page before their first event
        return reading.none(field, "0 of 0 so far")
    hits = whole.sum(field, HIT_TOKENS) if metrics.has(HIT_TOKENS) else 0
    ratio = share(whole, field, hits, tokens)
    reading.reasons |= whole.reasons
    return ratio


ADAPTER = Adapter(
    kind="sglang",
    programs=re.compile(r"\bsglang\b", re.IGNORECASE),
    read=read,
    names=frozenset(
        (
            RUNNING,
            WAITING,
            USAGE,
            FULL_USAGE,
            *OTHER_USAGES,
            USED_TOKENS,
            USED_TOKENS_OF_ANY,
            CACHED_TOKENS,
            PAGES,
            PAGE_TOKENS,
            CONFIG,
            PROMPT_TOKENS,
            HIT_TOKENS,
            *RETRACTIONS,
        )
    ),
    namespace="sglang:",
    checked=CheckedVersions("0.4.6", "0.5.23", "November 2026"),
)
