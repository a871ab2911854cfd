"""What the parts of a sample out of a memory snapshot have in common."""

from typing import Literal, NamedTuple

from blackbox.analysis.purpose_frames import (
    ACTIVATIONS,
    COMMUNICATION,
    GRADIENTS,
    GRAPH_POOLS,
    KV_CACHE,
    OPTIMIZER_STATE,
    PARAMETERS,
    WORKSPACES,
)
from blackbox.analysis.trace.device_findings import UNKNOWN, Category
from blackbox.model.parts import BlockType

SOURCE = "pytorch"
PID = 0
TAKEN_AT = 0.0
"""All parts are of one instant."""


SnapshotParts = Literal["end", "figures", "traces", "all_stacks", "playback"]
"""What is read of a file: its list of segments alone; the figures of what led to it; these with the course over time;
that with every stack of each moment, where others only have the largest; or its moments, to be played."""


class Purpose(NamedTuple):
    """What a block is for, as far as a snapshot tells."""

    type: BlockType
    subtype: str | None
    type_source: str | None


BLOCK_TYPES: dict[str, tuple[BlockType, str | None]] = {
    PARAMETERS: ("weight", None),
    ACTIVATIONS: ("activation", None),
    KV_CACHE: ("kv_cache", None),
    OPTIMIZER_STATE: ("other", "optimizer"),
    GRADIENTS: ("other", "gradient"),
    COMMUNICATION: ("other", "communication"),
    WORKSPACES: ("other", "workspace"),
    GRAPH_POOLS: ("other", "graph_pool"),
}
"""Category of a trace -> type and subtype of a block, in the words of `blackbox.model.purpose`; others are subtypes by
their own names."""
FREE = Purpose("other", None, None)
UNKNOWN_PURPOSE = Purpose("other", None, "none")
POOL = Purpose("other", "graph_pool", "framework")


def purpose_of(category: Category) -> Purpose:
    """A category as a block tells it."""
    if category.name == UNKNOWN:
        return UNKNOWN_PURPOSE
    return Purpose(*BLOCK_TYPES.get(category.name, ("other", category.name.replace(" ", "_"))), category.source)


def device_uuid(device: int) -> str:
    """A snapshot numbers the GPUs as its process did, and knows no other name of them."""
    return f"device-{device}"
