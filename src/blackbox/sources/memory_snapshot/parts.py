"""What the parts of a sample out of a memory snapshot have in common."""

from typing import Literal, NamedTuple

SOURCE = "pytorch"
PID = 0
TAKEN_AT = 0.0
"""All parts are of one instant."""


SnapshotParts = Literal["end", "traces", "all_stacks"]
"""What is read of a file: its list of segments alone, what led to it as well, or that with every stack of each moment,
where others only have the largest."""


class Purpose(NamedTuple):
    """What a block is for, as far as a snapshot tells; its type is always `other`."""

    subtype: str | None
    type_source: str | None


FREE = Purpose(None, None)
UNKNOWN_PURPOSE = Purpose(None, "none")
POOL = Purpose("graph_pool", "framework")


def device_uuid(device: int) -> str:
    """A snapshot numbers the GPUs as its process did, and knows no other name of them."""
    return f"device-{device}"
