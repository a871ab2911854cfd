"""The pages of docs/ as a whole: each is found from the index, and words of the glossary name what is there."""

import importlib
import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from blackbox.model.block_table import BLOCK_COLUMNS
from tests.pages import DOCS

GLOSSARY = (DOCS / "glossary.md").read_text()
WORDS = [
    "source",
    "sample",
    "snapshot",
    "frame",
    "hub",
    "subscriber",
    "recorder",
    "recording",
    "chunk",
    "event",
    "trigger",
    "dump",
    "agent",
    "allocator",
    "segment",
    "block",
    "pool",
    "moment",
    "runner",
    "sampler",
    "tick",
    "tier",
    "breadcrumb",
    "quarantine",
    "supervisor",
    "trend",
    "viewer",
    "probe",
    "ledger",
]
"""That the code is written in; the glossary may have more."""
CLASSES = sorted(set(re.findall(r"`(blackbox(?:\.\w+)+)`", GLOSSARY)))


def entries() -> list[str]:
    rows = re.findall(r"^\| ([a-zA-Z][^|`]*) \| [A-Z]", GLOSSARY, re.M)
    return [word.strip() for row in rows for word in row.split(",")]


@pytest.mark.parametrize("word", WORDS)
def test_the_glossary_has_every_word_of_the_code(word: str) -> None:
    assert word in entries()


def test_a_word_has_one_meaning() -> None:
    assert [word for word, count in Counter(entries()).items() if count > 1] == []


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_glossary_names_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    if attribute[:1].isupper():
        assert isinstance(getattr(importlib.import_module(module), attribute), type)
    else:
        importlib.import_module(name)


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    listed = set(re.findall(r"\]\(([\w./-]+\.md)\)", index))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"index.md"}
    assert {page for page in pages if not page.startswith("commands/") or page.endswith("index.md")} <= listed


def test_the_index_has_the_four_kinds() -> None:
    assert re.findall(r"^## (.*)$", (DOCS / "index.md").read_text(), re.M) == [
        "First hour",
        "How to",
        "Reference",
        "Background",
    ]


def test_the_picture_tells_its_words_to_those_who_cannot_see_it_and_is_for_light_and_dark() -> None:
    text = (DOCS / "architecture.svg").read_text()
    picture = ElementTree.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert {"title", "desc"} <= tags
    assert "script" not in tags
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    coloured = r"\.(\w+) \{ (?:fill|stroke): #"
    assert set(re.findall(coloured, light)) <= set(re.findall(r"\.(\w+) \{", dark))


def test_the_page_of_columns_has_each_with_its_type_and_meaning() -> None:
    page = (DOCS / "columns.md").read_text()
    for name, column in BLOCK_COLUMNS.items():
        assert f"| `{name}` | {column.type} | {column.help} |" in page
