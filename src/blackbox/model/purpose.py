"""What memory inside an allocator is for: the one list of purposes, and how a block's is found."""

from functools import cache

LIVE: tuple[str, ...] = (
    "weight",
    "gradient",
    "optimizer",
    "activation",
    "kv_used",
    "communication",
    "workspace",
    "other",
)
"""Purposes of live memory; `workspace`: of libraries and of graphs."""
KV_CACHED = "kv_cached"
"""A prefix that nobody references now; evictable."""
FREE = "cached"
"""Held by the allocator, for nothing."""
PURPOSES: tuple[str, ...] = (*LIVE, KV_CACHED, FREE)
"""In the order in which charts stack them, the steadiest first."""
_SUBTYPES: dict[str, str] = {
    "gradient": "gradient",
    "optimizer": "optimizer",
    "communication": "communication",
    "workspace": "workspace",
    "graph_pool": "workspace",
}


@cache
def purpose_of(type_: str, subtype: str | None, *, allocated: bool, utilized: bool) -> str:
    """The purpose of a block of this type and state."""
    if type_ == "kv_cache":
        return "kv_used" if utilized else KV_CACHED if allocated else FREE
    if not allocated:
        return FREE
    return _SUBTYPES.get(subtype or "", type_ if type_ in LIVE else "other")
