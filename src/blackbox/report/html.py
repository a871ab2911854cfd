"""A page of a report as one file: its policy lets nothing run or load but what it holds, known by its hash."""

from binascii import b2a_base64
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import msgspec

from blackbox.imports import instead_of
from blackbox.report.markup import tag, to_bytes

CHART_SCRIPT = "chart.js"
"""What the scripts of all pages share."""


def page(title: str, body: Iterable[Element], script: str | None = None) -> bytes:
    """The page, encoded; `script` is the file of the one that draws its charts."""
    style = _asset("page.css")
    parts = [*body]
    if script is not None:
        parts.append(tag("script", _code(script)))
    whole = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy(script)),
            tag("meta", name="viewport", content="width=device-width"),
            tag("meta", name="referrer", content="no-referrer"),
            tag("title", f"{title} - Blackbox"),
            tag("style", style),
        ),
        tag("body", *parts),
        lang="en",
    )
    return b"<!doctype html>\n" + to_bytes(whole) + b"\n"


def policy(script: str | None = None) -> str:
    """The page's content security policy."""
    found = f"default-src 'none'; style-src 'sha256-{_digest(_asset('page.css'))}'"
    return found if script is None else f"{found}; script-src 'sha256-{_digest(_code(script))}'"


def data(name: str, columns: dict[str, Any]) -> Element:
    """What a script draws; no text in it can end the element."""
    text = msgspec.json.encode(columns).decode().replace("<", "\\u003c")
    return tag("script", text, id=name, type="application/json")


def _code(script: str) -> str:
    return _asset(CHART_SCRIPT) + _asset(script)


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


def _digest(text: str) -> str:
    with instead_of("_hashlib", None):  # OpenSSL takes longer to load than the rest of a page to make
        from hashlib import sha256

    return b2a_base64(sha256(text.encode()).digest(), newline=False).decode()
