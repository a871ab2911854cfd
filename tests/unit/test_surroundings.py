"""What stands around the code: pages whose links lead somewhere, commands in them that exist, forms that parse."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from blackbox import cli
from tests.unit.test_house import ROOT, files

HOME = "https://github.com/blackbox-vram/blackbox"
FENCE = re.compile(r"^ *```.*?^ *```$", re.M | re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)|<(https?:[^>\s]+)>")
FRAGMENT_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*\.(added|changed|fixed|removed|security)\.md")
FRAGMENT_WORDS_MAX = 100
"""More is documentation, which has a place of its own."""


def pages() -> list[Path]:
    recorded = ROOT / "tests"
    return [path for path in files() if path.suffix == ".md" and recorded not in path.parents]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


PAGES = pytest.mark.parametrize("path", pages(), ids=named)


def links(path: Path) -> list[str]:
    return [first or second for first, second in LINK.findall(FENCE.sub("", path.read_text()))]


@cache
def anchors(path: Path) -> frozenset[str]:
    """What headings of a page can be linked to by, as GitHub and the site make them."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", path.read_text()), re.M)
    texts = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return frozenset(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-") for text in texts)


@PAGES
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        url = urlsplit(link)
        if url.scheme:
            assert url.scheme == "https", link
            assert url.hostname, link
            continue
        target = (path.parent / url.path).resolve() if url.path else path
        assert target.exists(), f"{link} of {named(path)}"
        if url.fragment:
            assert url.fragment in anchors(target), f"{link} of {named(path)}"


def commands(path: Path) -> Iterator[list[str]]:
    """The words of every command of ours in a code block of a page."""
    for line in path.read_text().splitlines():
        code = line.strip()
        if line.startswith(("    ", "blackbox ", "./run ")) and code.startswith(("blackbox ", "./run ")):
            start = re.split(r"\s{2,}|[|&>;]", code, maxsplit=1)[0]
            yield shlex.split(start, comments=True)


def own_commands() -> set[str]:
    """What `./run` does besides starting `blackbox`."""
    return set(re.findall(r"^    (\w+)\)$", (ROOT / "run").read_text(), re.M))


@pytest.mark.parametrize("path", [path for path in pages() if path.parent.name != "commands"], ids=named)
def test_commands_in_code_blocks_are_understood(path: Path) -> None:
    known = {command.name: command for command in cli.COMMANDS}
    for program, *words in commands(path):
        if not words or words[0] in ("COMMAND", "--help", "--version"):
            continue
        name, *arguments = words
        if program == "./run" and name in own_commands():
            continue
        assert name in known, f"{program} {name} in {named(path)}"
        if name == "run":
            arguments = arguments[: arguments.index("--") + 2] if "--" in arguments else arguments
        cli.command_parser(known[name]).parse_args([word for word in arguments if word != "…"])


def test_a_command_that_does_not_exist_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Do this:\n\n    blackbox nothing --at-all   # a remark\n    ./run serve --demo | less\n")
    assert list(commands(page)) == [["blackbox", "nothing", "--at-all"], ["./run", "serve", "--demo"]]


def fragments() -> list[Path]:
    return [path for path in files() if path.parent == ROOT / "changelog.d" and path.name != "README.md"]


def test_changelog_fragments_are_a_sentence_or_two_for_users() -> None:
    for path in fragments():
        if path.suffix == ".jinja":
            continue
        text = path.read_text().strip()
        assert FRAGMENT_NAME.fullmatch(path.name), path.name
        assert text.endswith((".", ")")), f"{path.name}: a sentence"
        assert not re.search(r"^(#|[-*] )", text, re.M), f"{path.name}: no heading, no list"
        assert 0 < len(text.split()) <= FRAGMENT_WORDS_MAX, path.name


def test_the_kinds_of_fragments_are_those_that_are_collected() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    kinds = {kind["directory"] for kind in config["type"]}
    assert kinds == set(re.findall(r"\w+", FRAGMENT_NAME.pattern.rpartition("(")[2].partition(")")[0]))
    assert config["start_string"].strip() in (ROOT / "CHANGELOG.md").read_text()


def loaded(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_every_push_and_pull_request_runs_what_ci_runs() -> None:
    workflow = loaded(".github/workflows/ci.yml")
    assert {"push", "pull_request"} <= workflow[True].keys()  # YAML reads the key `on` as true
    assert any(".ci/run" in step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    assert workflow["permissions"] == {"contents": "read"}


def test_ci_leaves_out_no_folder_of_tests() -> None:
    ci, run = (ROOT / ".ci" / "run").read_text(), (ROOT / "run").read_text()
    (coverage,) = re.findall(r"^    coverage\)\n(.*?);;", run, re.M | re.S)
    assert "./run coverage" in ci
    named = re.findall(r"(?<=tests/)\w+", ci + coverage)
    folders = {str(path.relative_to(ROOT / "tests").parts[0]) for path in files() if path.name.startswith("test_")}
    assert folders >= {"unit", "fuzz"}
    assert sorted(folders - set(named)) == []


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=named)
def test_issue_forms_have_what_a_form_needs(path: Path) -> None:
    form = loaded(named(path))
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert ids
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in form["body"])


def test_hooks_run_tools_of_the_project() -> None:
    config = loaded(".pre-commit-config.yaml")
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    assert all(hook["entry"].startswith(".venv/bin/") for hook in config["repos"][0]["hooks"])


def test_the_package_names_its_home() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= urls.keys()
    assert all(url.startswith(HOME) for url in urls.values())


def test_every_written_name_of_a_page_made_from_code_is_made_again() -> None:
    from tests.pages import DOCS, SINGLE

    marked = {path.name for path in DOCS.glob("*.md") if "<!-- Made by" in path.read_text()}
    assert marked == SINGLE.keys()


def findings() -> list[Path]:
    return [path for path in sorted((ROOT / "findings").glob("*.sh")) if path.name != "evidence.sh"]


def test_every_finding_is_in_the_list() -> None:
    listed = re.findall(r"^\| \[(\w+\.sh)\]\((\w+\.sh)\)", (ROOT / "findings/README.md").read_text(), re.M)
    assert [name for name, _ in listed] == [path.name for path in findings()]
    assert all(shown == target for shown, target in listed)


@pytest.mark.parametrize("path", findings(), ids=named)
def test_a_finding_has_the_form(path: Path) -> None:
    text = path.read_text()
    pins = re.search(r"^install (.*)$", text, re.M)
    other = re.search(r"^npm install .* [\w-]+@[\d.]+$|^# .*With CPython \d+\.\d+\.\d+", text, re.M)
    assert pins or other, "of which exact version?"
    assert pins is None or all(re.fullmatch(r"--no-deps|[\w-]+(\[[\w,-]+\])?==[\w.]+", pin) for pin in pins[1].split())
    assert not re.search(r"^\s*(from|import) blackbox", text, re.M)
    assert "# Expected: " in text
    assert re.search(r"What(?:\s|\n# )happens\b", text)
    assert "\n# So: " in text
    assert text.endswith("evidence.close()\nPYTHON\n")
    assert os.access(path, os.X_OK)
