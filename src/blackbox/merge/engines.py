"""Engines told of twice, from inside their process and by their `/metrics`, as one."""

from collections.abc import Iterable

from msgspec import structs

from blackbox.model.sample import InferenceEngine

IDENTITY = ("kind", "pid", "unknown")
"""Fields that are not figures."""


def joined(engines: Iterable[InferenceEngine]) -> tuple[InferenceEngine, ...]:
    """One engine per kind and pid; of each figure the first that was told, so name first who tells from inside."""
    found: dict[object, InferenceEngine] = {}
    for place, engine in enumerate(engines):
        key = place if engine.pid is None else (engine.kind, engine.pid)
        found[key] = _completed(found[key], engine) if key in found else engine
    return tuple(found.values())


def _completed(known: InferenceEngine, more: InferenceEngine) -> InferenceEngine:
    missing = [name for name in known.__struct_fields__ if name not in IDENTITY and getattr(known, name) is None]
    added = {name: value for name in missing if (value := getattr(more, name)) is not None}
    reasons = {name: more.unknown[name] for name in missing if name in more.unknown} | known.unknown
    return structs.replace(known, **added, unknown={name: why for name, why in reasons.items() if name not in added})
