"""Versions that an adapter was checked with, and others."""

from pathlib import Path

import pytest

from blackbox.sources.engines.adapters import ADAPTERS
from blackbox.sources.engines.versions import CheckedVersions

CHECKED = CheckedVersions("0.4.6", "0.32", "November 2026")


@pytest.mark.parametrize(
    ("version", "place"),
    [
        ("0.4.6", None),
        ("0.4.10.post1", None),
        ("0.32.0", None),
        ("0.32.7+cpu", None),
        ("v0.5", None),
        ("0.33.0", "newer"),
        ("1.0", "newer"),
        ("0.4.5", "older"),
        ("0.3", "older"),
        ("main", None),
        ("", None),
    ],
)
def test_a_version_outside_of_those_that_were_checked_is_told(version: str, place: str | None) -> None:
    remark = CHECKED.remark(version)
    assert (remark or "").partition(" ")[0] == (place or "")


def test_builds_are_versions_as_well() -> None:
    checked = CheckedVersions("b4000", "b9760", "November 2026")
    assert checked.remark("b9001-abc") is None
    assert (checked.remark("b9999-abc") or "").startswith(
        "newer than those its figures were checked with (b4000 to b9760"
    )


def test_every_adapter_whose_engine_tells_its_version_says_with_which_it_was_checked() -> None:
    assert {adapter.kind for adapter in ADAPTERS if adapter.checked is None} == {"triton"}


def test_the_page_says_with_which_versions_each_was_checked() -> None:
    page = (Path(__file__).parents[4] / "docs" / "engines.md").read_text()
    for adapter in ADAPTERS:
        if adapter.checked is not None:
            assert f"| {adapter.checked.first} to {adapter.checked.last} |" in page
            assert adapter.checked.when in page
