"""What every source promises, over `SOURCES`; and that one more needs a folder and a line."""

import importlib
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import blackbox
from blackbox.cli.common.settings_file import load_settings
from blackbox.cli.common.settings_options import add_flags, all_options
from blackbox.errors import UsageError
from blackbox.model.facts import FACTS
from blackbox.model.sample import Sample
from blackbox.settings import Settings
from blackbox.sources import SOURCES, SourceContext, SourceSpec, load_spec
from blackbox.sources.agents import AGENT_SOCKET
from blackbox.sources.base import Source
from blackbox.sources.isolation.breadcrumbs import Breadcrumbs
from blackbox.sources.isolation.child import make_source
from tests.moments import whole_status
from tests.running_server import environment
from tests.waiting import PATIENCE_SECONDS

PACKAGE = Path(blackbox.__file__).parent
SWITCHES = {"true": True, "0": False}


@pytest.fixture(params=SOURCES, ids=lambda spec: spec.name)
def spec(request: pytest.FixtureRequest) -> SourceSpec:
    return request.param


@pytest.fixture
def breadcrumbs() -> Iterator[Breadcrumbs]:
    made, fd = Breadcrumbs.create()
    yield made
    made.close()
    os.close(fd)


def make(spec: SourceSpec, factory: str, breadcrumbs: Breadcrumbs, home: Path) -> Source:
    """As runners do, on a machine where no process is on any GPU."""
    if spec.isolation == "child":
        return make_source(factory, breadcrumbs)
    module, _, name = factory.partition(":")
    options = {AGENT_SOCKET.key: home / "agents"}
    return getattr(importlib.import_module(module), name)(SourceContext(options, lambda: ()))


def load(*words: str) -> Settings:
    parser = ArgumentParser()
    add_flags(parser)
    return load_settings(parser.parse_args(words), {"HOME": "/nonexistent"})


def test_its_samples_are_valid_or_say_why_not_and_closing_it_twice_is_allowed(
    spec: SourceSpec, breadcrumbs: Breadcrumbs, tmp_path: Path
) -> None:
    factories = [spec.factory, *([spec.variant[1]] if spec.variant else [])]
    for factory in factories:
        source = make(spec, factory, breadcrumbs, tmp_path)
        assert source.name == spec.name
        source.close()
        for _ in range(2):
            sample = source.sample()
            assert (sample.source, sample.simulated) == (spec.name, spec.simulated)
            assert sample.state == "ok" or whole_status(sample).reason, "a state that is not ok has its reason"
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(sample), type=Sample) == sample
            stated = {fact.key: fact for fact in spec.facts}
            assert spec.has_named_facts or sample.facts.keys() <= stated.keys()
            assert all(fact.of(sample.facts) == sample.facts.get(key) for key, fact in stated.items())
            source.close()
            source.close()


def test_its_options_have_the_same_names_everywhere_and_their_defaults_when_nobody_sets_them(spec: SourceSpec) -> None:
    flags = {option.flag: option for option in all_options()}
    for option in spec.options:
        flag = "--" + option.key.replace("_", "-")
        assert flags[flag].variable == "BLACKBOX_" + option.key.upper()
        assert flags[flag].help == option.help
        assert option.of(load().source_options) == option.default


def test_its_switches_are_told_apart_from_anything_else(spec: SourceSpec) -> None:
    for option in spec.options:
        if option.kind != "switch":
            continue
        variable = "BLACKBOX_" + option.key.upper()
        parser = ArgumentParser()
        add_flags(parser)
        for text, value in SWITCHES.items():
            settings = load_settings(parser.parse_args([]), {"HOME": "/nonexistent", variable: text})
            assert option.of(settings.source_options) is value
        with pytest.raises(UsageError, match=variable):
            load_settings(parser.parse_args([]), {"HOME": "/nonexistent", variable: "perhaps"})


def test_its_switch_turns_its_default_around(spec: SourceSpec) -> None:
    vendor = spec.vendor or "nvidia"
    assert spec.runs({}, vendor) is (spec.default and not spec.simulated)
    if spec.switch is not None:
        assert spec.switch in spec.options
        assert spec.runs({spec.switch.key: True}, vendor) is not spec.default
    if spec.vendor is not None:
        assert not spec.runs({}, "another")


def test_names_keys_and_facts_are_each_declared_once() -> None:
    assert len({spec.name for spec in SOURCES}) == len(SOURCES)
    keys = [option.key for option in all_options()]
    assert len(set(keys)) == len(keys)
    declared = {fact.key: fact for spec in SOURCES for fact in spec.facts}
    assert all(declared[fact.key] is fact for spec in SOURCES for fact in spec.facts)
    assert all(declared[fact.key] is fact for fact in FACTS), "a fact that is read is one that some source states"


def test_what_settings_load_knows_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, blackbox.sources; print([name for name in sys.modules if name.endswith('.source')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.strip() == "[]", "the table is read by every command: it loads what works only where it works"


SCRATCH = {
    "__init__.py": """
from blackbox.model.facts import Fact
from blackbox.sources.base import SourceOption, SourceSpec

SCRATCH = SourceOption("scratch", "switch", False, "ask the scratch source")
WORD = SourceOption("scratch_word", "text", "hello", "what it says", "WORD")
SAID = Fact("said", "What it was told to say.")
SPEC = SourceSpec(
    "scratch", "blackbox.sources.scratch.source:make", isolation="thread", default=False,
    switch=SCRATCH, options=(SCRATCH, WORD), facts=(SAID,),
)
""",
    "source.py": """
import time

from blackbox.model.sample import Sample
from blackbox.sources.base import SourceContext
from blackbox.sources.scratch import SAID, WORD


class ScratchSource:
    name = "scratch"

    def __init__(self, word: str) -> None:
        self._word = word

    def sample(self) -> Sample:
        return Sample(source=self.name, taken_at=time.monotonic(), facts=dict((SAID.stated(self._word),)))

    def close(self) -> None:
        pass


def make(context: SourceContext) -> ScratchSource:
    return ScratchSource(WORD.of(context.options))
""",
}
RUN_SCRATCH = """
import sys, threading
from argparse import ArgumentParser
from blackbox.cli.common.settings_options import add_flags
from blackbox.cli.common.settings_file import load_settings
from blackbox.sampling.runner import make_runner
from blackbox.sources import SOURCES, SourceContext

parser = ArgumentParser(); add_flags(parser)
settings = load_settings(parser.parse_args(sys.argv[1:]))
(spec,) = (spec for spec in SOURCES if spec.name == "scratch" and spec.runs(settings.source_options, "nvidia"))
answered = threading.Event()
runner = make_runner(spec, SourceContext(settings.source_options, lambda: ()), 0.5, answered.set)
runner.request()
assert answered.wait(120)
print(runner.collect().facts["said"])
runner.close(10)
"""


def test_a_new_source_is_a_folder_and_a_line(tmp_path: Path) -> None:
    copy = tmp_path / "src" / "blackbox"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    folder = copy / "sources" / "scratch"
    folder.mkdir()
    for name, text in SCRATCH.items():
        (folder / name).write_text(text)
    table = copy / "sources" / "__init__.py"
    text = table.read_text()
    assert text.count('    "simulated",\n') == 1
    table.write_text(text.replace('    "simulated",\n', '    "simulated",\n    "scratch",\n'))

    def run(*command: str) -> str:
        env = environment(tmp_path, PYTHONPATH=str(tmp_path / "src"))
        done = subprocess.run(
            [sys.executable, *command], env=env, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "--scratch-word WORD" in run("-m", "blackbox", "serve", "--help")
    assert run("-c", RUN_SCRATCH, "--scratch", "--scratch-word", "hi").strip() == "hi"


def test_a_package_without_a_declaration_is_no_source() -> None:
    with pytest.raises(TypeError, match="has no SPEC"):
        load_spec("blackbox.sources.proc")


def test_options_are_checked_where_they_are_written() -> None:
    wrong: dict[str, Any] = {"--vendor": "acme", "--engine": "ftp://far.away"}
    for flag, text in wrong.items():
        with pytest.raises(UsageError, match=flag):
            load(flag, text)
