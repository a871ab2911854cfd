"""Addresses as the columns hold them: whole numbers below 2^63.

Intel's GPUs (XPU) have theirs in the upper half of 64 bits, 0xff00..., which PyTorch writes below zero or from 2^63 on.
These are told without their highest bit, as their order and their distances are what matters.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from blackbox.wire.segments import ADDRESS_MAX

LISTS_OF_SEGMENTS = ("segments", "host_segments")
KEYS = ("address", "addr")
UPPER_HALF_MIN, UPPER_HALF_END = -(1 << 63), 1 << 64


def lower_addresses(snapshot: Mapping[str, Any]) -> None:
    """Changes the addresses of a snapshot in place, where the first segment, or the first entry, has one that is so
    high; what is malformed stays as it is."""
    lists: list[Any] = [snapshot.get(key) for key in LISTS_OF_SEGMENTS]
    traces = snapshot.get("device_traces")
    lists += cast(Sequence[Any], traces) if isinstance(traces, list) else []
    found = [cast(Sequence[Any], one) for one in lists if isinstance(one, list) and one]
    if any(_is_high(one[0]) for one in found):
        for one in found:
            for row in one:
                _lower(row)


def _is_high(row: Any) -> bool:
    return isinstance(row, dict) and any(_has_high(cast(dict[str, Any], row).get(key)) for key in KEYS)


def _has_high(address: Any) -> bool:
    return type(address) is int and (UPPER_HALF_MIN <= address < 0 or ADDRESS_MAX < address < UPPER_HALF_END)


def _lower(row: Any) -> None:
    if not isinstance(row, dict):
        return
    known = cast(dict[str, Any], row)
    for key in KEYS:
        if _has_high(known.get(key)):
            known[key] &= ADDRESS_MAX
    blocks = known.get("blocks")
    for block in cast(Sequence[Any], blocks) if isinstance(blocks, list) else ():
        _lower(block)
