"""How each purpose of memory is shown: its name, its glyph, its colours. The order is that of every bar.

Live memory is a letter on a colour; what is held but not live, or not known, is a glyph without one.
"""

from typing import NamedTuple

from blackbox.model.purpose import PURPOSES as IN_ALLOCATOR


class PurposeLook(NamedTuple):
    """One purpose."""

    key: str
    """As in `purposes` of a process, or one of the others below."""
    name: str
    glyph: str
    """One cell wide, unlike that of any other: it is enough without colour."""
    colour: int | None = None
    """Background among the 256; None: the terminal's own, dim."""
    basic: str | None = None
    """The same among the 16, by its name at Textual and Rich."""
    dark_ink: bool = True
    """The letter is black on it; white otherwise."""


OUTSIDE, OPAQUE, UNATTRIBUTED, FREE, DRIVER = "outside", "opaque", "unattributed", "free", "driver"
"""Purposes beside those that allocators tell: of a process, outside its allocator; of a process, not told at all; of a
GPU, nobody's; of a GPU, not allocated; of a GPU, kept by its driver."""
LOOKS: tuple[PurposeLook, ...] = (
    PurposeLook("weight", "weights", "W", 26, "blue", dark_ink=False),
    PurposeLook("gradient", "gradients", "G", 183, "bright_magenta"),
    PurposeLook("optimizer", "optimizer state", "O", 96, "magenta", dark_ink=False),
    PurposeLook("activation", "activations", "A", 172, "yellow"),
    PurposeLook("kv_used", "KV cache in use", "K", 79, "cyan"),
    PurposeLook("communication", "communication", "C", 58, "green", dark_ink=False),
    PurposeLook("workspace", "workspace, graph pools", "S", 186, "bright_green"),
    PurposeLook("other", "other", "x", 138, "bright_black"),
    PurposeLook("kv_cached", "KV cache, cached", "k"),
    PurposeLook(OUTSIDE, "outside the allocator", "="),
    PurposeLook("cached", "free in cache", "~"),
    PurposeLook(OPAQUE, "not measured", "?"),
    PurposeLook(UNATTRIBUTED, "unattributed", ":"),
    PurposeLook(FREE, "free on GPU", "·"),
    PurposeLook(DRIVER, "driver", "‖"),
)
"""Left to right, the steadiest first."""
LOOK_OF = {look.key: look for look in LOOKS}
RANK = {look.key: place for place, look in enumerate(LOOKS)}
assert set(IN_ALLOCATOR) < LOOK_OF.keys()
