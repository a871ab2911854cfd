"""Elements of a page. Everything becomes text or an attribute of a tree: nothing recorded can turn into markup."""

import re
from itertools import compress
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Element:
    """An element. `class_` is `class`, underscores are dashes; attributes that are None are left out."""
    element = Element(name)
    for key, value in attributes.items():
        if value is not None:
            element.set(key.rstrip("_").replace("_", "-"), clean(number(value)))
    last: Element | None = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                element.text = (element.text or "") + clean(child)
            else:
                last.tail = (last.tail or "") + clean(child)
        elif child is not None:
            element.append(child)
            last = child
    return element


def number(value: str | float) -> str:
    """Coordinates to a tenth of a pixel."""
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def clean(text: str) -> str:
    """Without characters that no page may hold."""
    return _CONTROL.sub("�", text)


def to_bytes(element: Element) -> bytes:
    """The element as HTML."""
    return tostring(element, encoding="unicode", method="html").encode()


def table(heads: tuple[str, ...], rows: list[tuple[bool, tuple[str, ...]]]) -> Element:
    """Rows of texts, each with whether it is of what failed; heads that begin with # are of numbers. A column that
    tells nothing in any row is left out."""
    told = [any(cells) for cells in zip(*(cells for _, cells in rows), strict=True)] or [True] * len(heads)
    heads = tuple(compress(heads, told))
    rows = [(failed, tuple(compress(cells, told))) for failed, cells in rows]
    numeric = [head.startswith("#") for head in heads]
    head = tag(
        "tr",
        *(
            tag("th", clean(text.lstrip("#")), class_="n" if n else None)
            for text, n in zip(heads, numeric, strict=True)
        ),
    )
    body = [
        tag(
            "tr",
            *(tag("td", text, class_="n" if n else None) for text, n in zip(cells, numeric, strict=True)),
            class_="failed" if failed else None,
        )
        for failed, cells in rows
    ]
    return tag("table", tag("thead", head), tag("tbody", *body))
