"""Colours, by name of a class in `page.css`: the same thing has the same colour in every figure."""

from collections.abc import Iterable

from blackbox.analysis.usage import FREE_IN_CACHE, OUTSIDE

USES = {
    "weights": "blue",
    "activations": "orange",
    "KV cache in use": "teal",
    "KV cache, cached prefixes": "aqua",
    "KV cache, free pages": "pale",
    "gradient": "violet",
    "gradients": "violet",
    "optimizer state": "pink",
    "graph pool": "olive",
    "waiting to be freed": "sand",
    FREE_IN_CACHE: "pale",
    OUTSIDE: "grey",
    "other": "brown",
}
OTHER = "brown"
CATEGORIES = {
    "parameters": ("blue", "W"),
    "gradients": ("violet", "G"),
    "optimizer state": ("pink", "O"),
    "activations": ("orange", "A"),
    "autograd detail": ("sand", "D"),
    "KV cache": ("teal", "K"),
    "communication buffers": ("moss", "C"),
    "workspaces": ("olive", "S"),
    "graph pools": ("olive", "P"),
    "input": ("aqua", "I"),
    "unknown": ("brown", "x"),
}
"""Of what a trace is for, from the bottom of a chart to its top: colour and letter."""
OWN_NAMES = ("teal", "moss", "aqua", "sand", "pink", "violet")
"""Of categories that the program or the user names, in turn."""
BANDS = ("blue", "violet", "pink", "orange", "teal", "moss", "olive", "brown")
"""Of the eight largest stacks, where colours are of stacks, from the bottom to the top."""
REST, NO_STACK = "rest", "none"
"""Not colours: the textures of all that is not told apart, and of what no stack is known of."""
FAILED = "red"
HOLDERS = ("blue", "teal", "violet", "olive", "pink", "brown")


def use_colour(use: str) -> str:
    """Of a use of memory."""
    return USES.get(use) or CATEGORIES.get(use, (OTHER,))[0]


def holder_colours(names: Iterable[str], failed: str | None) -> dict[str, str]:
    """Of processes: red for the one that failed."""
    others = [name for name in names if name != failed]
    colours = {name: HOLDERS[place % len(HOLDERS)] for place, name in enumerate(others)}
    return colours | ({failed: FAILED} if failed is not None else {})
