"""Inference engines: one that is reported twice, from inside its process and by its `/metrics`, becomes one row."""

from collections.abc import Collection, Iterable, Mapping

from msgspec import structs

from blackbox.model.parts import InferenceEngine
from blackbox.model.snapshot import Engine, Process

IDENTITY = ("kind", "pid", "pids", "taken_at", "uid", "unknown")
"""Fields that identify the engine or describe its report, and so are not filled in from the other report."""


def merge_engines(engines: Iterable[InferenceEngine]) -> tuple[InferenceEngine, ...]:
    """One engine per kind and pid. Of each number the first reported wins, so pass the reports from inside the process
    first."""
    found: dict[object, InferenceEngine] = {}
    for place, engine in enumerate(engines):
        key = place if engine.pid is None else (engine.kind, engine.pid)
        found[key] = _completed(found[key], engine) if key in found else engine
    return tuple(found.values())


def _completed(known: InferenceEngine, more: InferenceEngine) -> InferenceEngine:
    missing = [name for name in known.__struct_fields__ if name not in IDENTITY and getattr(known, name) is None]
    added = {name: value for name in missing if (value := getattr(more, name)) is not None}
    reasons = {name: more.unknown[name] for name in missing if name in more.unknown} | known.unknown
    return structs.replace(
        known,
        **added,
        pids=tuple(sorted({*known.pids, *more.pids})),
        taken_at=min((at for at in (known.taken_at, more.taken_at) if at is not None), default=None),
        uid=known.uid if known.uid == more.uid else None,
        unknown={name: why for name, why in reasons.items() if name not in added},
    )


def engine_rows(engines: Iterable[InferenceEngine], processes: Iterable[Process], now: float) -> tuple[Engine, ...]:
    """The row of each engine: its numbers as reported, and the GPUs on which its processes hold memory."""
    engines = tuple(engines)
    gpus: dict[int, set[int]] = {pid: set() for engine in engines for pid in engine_pids(engine)}
    for process in processes if gpus else ():
        if process.pid in gpus:
            gpus[process.pid].add(process.gpu)
    return tuple(_row(engine, gpus, now) for engine in engines)


def engine_pids(engine: InferenceEngine) -> Collection[int]:
    """The pids of all processes known to belong to the engine."""
    return engine.pids if engine.pid is None else {engine.pid, *engine.pids}


def _row(engine: InferenceEngine, gpus: Mapping[int, Collection[int]], now: float) -> Engine:
    return Engine(
        kind=engine.kind,
        pid=engine.pid,
        model=engine.model,
        kv_pages_total=engine.kv_pages_total,
        kv_pages_used=engine.kv_pages_used,
        kv_pages_cached=engine.kv_pages_cached,
        kv_usage_ratio=engine.kv_usage_ratio,
        prefix_hit_ratio=engine.prefix_hit_ratio,
        requests_running=engine.requests_running,
        requests_waiting=engine.requests_waiting,
        preemptions_total=engine.preemptions_total,
        sleeping=engine.sleeping,
        pids=engine.pids,
        gpus=tuple(sorted({gpu for pid in engine_pids(engine) for gpu in gpus[pid]})),
        age_seconds=None if engine.taken_at is None else round(max(0.0, now - engine.taken_at), 3),
        unknown=engine.unknown,
    )
