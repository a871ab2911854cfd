"""The page: small, self-contained, without script, and safe whatever the recording says."""

import re
from html.parser import HTMLParser

import pytest
from msgspec import structs

from blackbox.model.snapshot import Block
from blackbox.report import Report, build_report, from_moments, to_html, to_text
from tests import incidents

PAGE_BYTES_MAX = 2_000_000
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Reader(HTMLParser):
    """Every tag and attribute of a page, and whether tags close in order."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report() -> Report:
    moments = incidents.leak()
    evidence = from_moments("test", moments, incidents.events(moments), incidents.span(moments))
    assert evidence is not None
    return build_report(evidence)


def test_the_page_needs_nothing_but_itself(report: Report) -> None:
    reader = Reader(to_html(report))
    assert reader.open == []
    assert not {"script", "link", "iframe", "img", "object", "base", "form"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {name for name in names if name.startswith("on")} | {"src", "href", "style", "action"} & names
    assert b"url(" not in to_html(report)
    assert b"default-src 'none'; style-src 'sha256-" in to_html(report)


def test_the_page_says_what_the_text_says(report: Report) -> None:
    page, text = to_html(report).decode(), to_text(report)
    for phrase in (report.title, "layers.py:52 attention", "Simulated machine", "Fragmentation", *report.why):
        assert phrase in page
    for phrase in (report.title, "layers.py:52 attention", "SIMULATED", "FRAGMENTATION", *report.why):
        assert phrase in text
    for item in report.advice:
        assert item.title in page
        assert item.title in text


def test_names_cannot_become_markup(report: Report) -> None:
    hostile = "<script>alert(1)</script>\x00\x1b[31m\ud800"
    evil = structs.replace(
        report,
        title=hostile,
        subject=hostile,
        processes=tuple(
            structs.replace(process, name=hostile, label=hostile, user=hostile) for process in report.processes
        ),
        events=tuple(structs.replace(event, message=hostile) for event in report.events),
    )
    page = to_html(evil)
    assert "script" not in Reader(page).tags
    assert not re.search(rb"[\x00\x1b]", page)


def test_a_hundred_thousand_blocks_stay_below_the_limit(report: Report) -> None:
    blocks = tuple(
        Block(
            block_id=number,
            address=4096 + number * 512,
            size=512,
            type=("weight", "activation", "other")[number % 3],  # type: ignore[arg-type]
            allocated=number % 5 != 0,
            utilized=number % 5 != 0,
            pid=1,
            gpu=0,
        )
        for number in range(100_000)
    )
    assert report.growth is not None
    many = structs.replace(
        report,
        blocks=blocks,
        processes=report.processes * 1000,
        events=report.events * 1000,
        growth=structs.replace(report.growth, shares=report.growth.shares * 1000),
    )
    assert len(to_html(many)) < PAGE_BYTES_MAX


def test_a_machine_without_anything_makes_a_page() -> None:
    from tests.moments import TIMESTAMP, moment, sample

    evidence = from_moments("test", [moment(sample(()))], [], (TIMESTAMP, TIMESTAMP))
    assert evidence is not None
    assert Reader(to_html(build_report(evidence))).open == []
    assert to_text(build_report(evidence)).startswith("No GPU memory was measured\n")
