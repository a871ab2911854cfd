"""Inference engines that hold far more KV cache than they ever use, with the setting that would give it back."""

from collections.abc import Iterator, Sequence

from blackbox.model.forecast import Advice
from blackbox.model.query import History, Series
from blackbox.model.snapshot import Engine, Snapshot
from blackbox.model.text import duration, size, who

WINDOW_SECONDS = 7 * 86_400.0
"""A week: engines that idle at night or on Sundays are no waste."""
SEEN_SHARE_MIN = 0.9
"""Share of the week that must have been recorded before anything is advised."""
USED_RATIO_MAX = 0.4
"""A KV cache that was ever fuller than this gets no advice."""
RESERVE = 1.5
"""The size advised, as a multiple of the most that was used."""
SETTINGS = {
    "vllm": "--gpu-memory-utilization",
    "sglang": "--mem-fraction-static",
    "llama.cpp": "--ctx-size",
    "triton": "kv_cache_free_gpu_mem_fraction",
    "ollama": "OLLAMA_NUM_PARALLEL or num_ctx",
    "lmdeploy": "--cache-max-entry-count",
    "tensorrt-llm": "--kv_cache_free_gpu_memory_fraction",
}
OTHER_SETTING = "the size of its KV cache"


def advise_on_kv_caches(snapshot: Snapshot, history: History) -> Iterator[Advice]:
    """Advice on the engines of `snapshot`; `history` is their `kv_usage_ratio` over the week."""
    for engine in snapshot.engines:
        if "kv_usage_ratio" in engine.unknown:  # not the share of this pool
            continue
        # a restart gives an engine another pid, and not another load
        series = [one for one in history.series if one.engine == engine.kind and one.name == engine.model]
        highs = [(time, high) for one in series for time, _low, _mean, high in one.points if high is not None]
        if not highs:
            continue
        seen = _seen_seconds(series)
        used = max(high for _, high in highs)
        if seen >= SEEN_SHARE_MIN * WINDOW_SECONDS and used <= USED_RATIO_MAX:
            yield _advice(engine, used, seen, _pool_bytes(snapshot, engine))


def _seen_seconds(series: Sequence[Series]) -> float:
    times = [time for one in series for time, *_ in one.points]
    return max(times) - min(times)


def _pool_bytes(snapshot: Snapshot, engine: Engine) -> int | None:
    groups = snapshot.blocks_summary or ()
    pool = sum(group.size for group in groups if group.pid == engine.pid and group.type == "kv_cache")
    return pool or None


def _advice(engine: Engine, used: float, seen: float, pool: int | None) -> Advice:
    spare = None if pool is None else round(pool * (1 - RESERVE * used))
    setting = SETTINGS.get(engine.kind, OTHER_SETTING)
    name = who(engine.kind, engine.pid) if engine.pid is not None else engine.kind
    gain = "" if spare is None else f" would give back about {size(spare)} of {size(pool or 0)}, and"
    found = f"{name} never used more than {100 * used:.0f} % of its KV cache in {duration(seen)}"
    return Advice(
        engine=engine.kind,
        pid=engine.pid,
        model=engine.model,
        used_ratio_max=used,
        seen_seconds=seen,
        pool_bytes=pool,
        spare_bytes=spare,
        setting=setting,
        message=f"{found}: lowering {setting}{gain} would still leave {RESERVE:g} times what it needed",
    )
