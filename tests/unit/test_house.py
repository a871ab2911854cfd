"""Rules of the house that no linter knows: the shape of the code, and what may stand in a tracked file."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "blackbox"
LINES_MAX = 400
"""A longer file holds two nouns."""

REGISTRIES = re.compile(r"pypi[.]org|files[.]pythonhosted[.]org|registry[.]npmjs[.]org|https?://[^\s\"')]+/simple\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)(?=[/\s\"'`)]|$)", re.MULTILINE)


def files() -> list[Path]:
    """What git tracks, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    if listed.returncode != 0:
        pytest.skip("this copy of the sources is no git checkout")
    found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in found if path.is_file()]


def texts() -> Iterator[tuple[Path, str]]:
    for path in files():
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    assert found(REGISTRIES) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert found(MACHINE_PATHS) == []


def joined(*parts: str) -> str:
    """A line that must not stand here as it is."""
    return "/".join(parts)


@pytest.mark.parametrize(
    "line",
    [
        joined("url = https:", "", "mirror.example", "pypi", "simple"),
        joined("see https:", "", ".".join(("pypi", "org")), "project"),
        joined('"https:', "", "mirror", "simple", '"'),
    ],
)
def test_a_registry_would_be_found(line: str) -> None:
    assert REGISTRIES.search(line)


@pytest.mark.parametrize(
    "line",
    [joined("cd ", "work", "main"), joined("", "root"), joined("`", "home", "me", "x`"), joined("", "home", "me")],
)
def test_a_machine_path_would_be_found(line: str) -> None:
    assert MACHINE_PATHS.search(line)


@pytest.mark.parametrize(
    "line", ["GET /workers", "shared/work", "/homepage", "the /proc/self/root link", "ProtectHome=yes"]
)
def test_other_paths_are_left_alone(line: str) -> None:
    assert not MACHINE_PATHS.search(line)


def test_no_source_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(text.splitlines())
        for path, text in texts()
        if path.suffix in (".py", ".ts", ".tsx")
        and path.relative_to(ROOT).parts[0] in ("src", "benchmarks", "examples", "web")
    }
    assert {name: length for name, length in lengths.items() if length > LINES_MAX} == {}


def test_imports_follow_the_flow_of_the_data() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_part(part: str) -> list[Path]:
    """The sources of a module or package of ours."""
    return [*PACKAGE.glob(f"{part}.py"), *(PACKAGE / part).rglob("*.py")]


@pytest.mark.parametrize("part", ["wire", "agent", "paths"])
def test_what_runs_in_programs_needs_only_the_standard_library(part: str) -> None:
    """What it may know of ours is a contract of `lint-imports`, which cannot tell foreign packages apart."""
    names = {name for path in of_part(part) for name in imports(path) if not name.startswith("blackbox.")}
    assert names
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


TYPE_NAME = re.compile(r"_?[A-Z]\w*[a-z]\w*")
MODULES_PER_NAME_MAX = 2
"""A name that many modules define stands for many things, and a reader has to ask which."""
SHARED_NAMES: frozenset[str] = frozenset()
"""Names that more modules may define, since they are one idea behind one Protocol."""
OLD_TYPES = """
Crowd Member Room Asker Refusal Questions Opening Answering Group Door Reception Word Allowance Meter Budget Remains
Ending Endings Person SoleProcesses Neighbours Company Roster Place Holding Remembered Stretch Stretches Piece
Difference Life Desk Bell Idle Condition Party
"""
"""Names of types for which the field has better words."""
OLD_MODULES = """
crowd questions opening door reception word words allowance meter budget remains autopsy ending endings people kin found
visit sole neighbours strangers roster holding remembered stretches packing mark runs life desk turns garbage bell
condition remedies causes findings asking recorded values options
"""


def defined_types() -> dict[str, list[str]]:
    """Name of each class and type alias of ours -> the modules that define it."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            targets: list[ast.expr] = []
            if isinstance(node, ast.ClassDef):
                targets = [ast.Name(node.name)]
            elif isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and TYPE_NAME.fullmatch(target.id):
                    found.setdefault(target.id, []).append(str(path.relative_to(PACKAGE)))
    return found


def test_a_name_stands_for_one_thing() -> None:
    many = {name: modules for name, modules in defined_types().items() if len(modules) > MODULES_PER_NAME_MAX}
    assert {name: modules for name, modules in many.items() if name not in SHARED_NAMES} == {}


def test_types_and_modules_are_called_by_the_words_of_the_field() -> None:
    types = defined_types()
    assert {"Snapshot", "ProcessMemory", "ProcessKey"} <= types.keys()
    assert {name: types[name] for name in OLD_TYPES.split() if name in types} == {}
    old = OLD_MODULES.split()
    assert sorted(str(path) for path in PACKAGE.rglob("*.py") if path.stem in old) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """A module and its package counted apart, and imports for types and inside functions counted too."""
    graph = grimp.build_graph("blackbox", cache_dir=None)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imported) > len(list(PACKAGE.iterdir()))
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")
