"""The API reference that the server must honour word for word, cut into its tables, JSON and Python examples."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

API_REFERENCE = Path(__file__).parents[3] / "shared" / "API_REFERENCE.md"

OBJECTS = {
    "Top-Level Fields": "Snapshot",
    "Process Object": "Process",
    "Thread Object": "Thread",
    "Block Object": "Block",
    "Nsight Metrics Object": "KernelMetrics",
}
"""Heading of a table -> the struct that answers it."""


class Field(NamedTuple):
    struct: str
    name: str
    type: str
    words: tuple[str, ...]
    """The values it may take, where the table lists them."""


def text() -> str:
    """The whole reference; skips the test where the checkout stands alone."""
    if not API_REFERENCE.exists():
        pytest.skip("the API reference (../shared/API_REFERENCE.md) is not beside this checkout")
    return API_REFERENCE.read_text()


def fields() -> list[Field]:
    """Every row of every table of fields."""
    found: list[Field] = []
    for section in re.split(r"^####? ", text(), flags=re.MULTILINE):
        struct = OBJECTS.get(section.partition("\n")[0].strip())
        if struct is None:
            continue
        for name, kind, meaning in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", section, flags=re.MULTILINE):
            found.append(Field(struct, name, kind, tuple(re.findall(r'"(\w+)"', meaning))))
    return found


def examples(language: str, with_words: str) -> list[str]:
    """The code blocks in a language that hold some words, in the order of the page."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text(), flags=re.MULTILINE | re.DOTALL)
    found = [block for block in blocks if with_words in block]
    assert found, f"the API reference has no {language} example with {with_words!r}"
    return found


TYPES: dict[str, type[Any]] = {
    "integer": int,
    "float": float,
    "string": str,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def is_of(value: Any, kind: str) -> bool:
    """Whether a decoded JSON value is of a documented type, exactly: `1` is no float and `true` no integer."""
    return type(value) is TYPES[kind]
