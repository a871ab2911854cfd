"""What is installed is what was checked: every requirement named, pinned and hashed, from nowhere in particular."""

import importlib.util
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LISTS = ("runtime", "image", "build", "node", "dev")
IN_DEV = ("dev", "bench", "build", "node")
"""Groups of which the list of that name is made."""
REGISTRY_HOSTS = tuple(".".join(parts) for parts in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org")])


def pinned(name: str) -> dict[str, Requirement]:
    """The requirements of a list, by name; each must have a hash."""
    text = (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert all("--hash=sha256:" in entry for entry in entries)
    requirements = [Requirement(entry.partition("--hash")[0].strip()) for entry in entries]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def wanted() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups: dict[str, list[str]] = project["dependency-groups"]
    texts = {
        "runtime": project["project"]["dependencies"],
        "image": [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["kubelet"]],
        "build": groups["build"],
        "node": groups["node"],
        "dev": [*project["project"]["dependencies"], *(text for name in IN_DEV for text in groups[name])],
    }
    return {name: [Requirement(text) for text in listed] for name, listed in texts.items()}


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_is_pinned_to_a_version_it_allows(name: str) -> None:
    found = pinned(name)
    for requirement in wanted()[name]:
        pin = found[canonicalize_name(requirement.name)]
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert requirement.specifier.contains(specifier.version), f"{pin} is outdated: ./run lock"


def test_the_lists_agree() -> None:
    everything = pinned("dev")
    for name in LISTS:
        assert {key: str(pin) for key, pin in pinned(name).items()}.items() <= {
            key: str(pin) for key, pin in everything.items()
        }.items()


def test_no_file_names_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    pattern = re.compile("|".join(map(re.escape, REGISTRY_HOSTS)).encode())
    files = [ROOT / line for line in listed.stdout.splitlines()]
    assert [str(file) for file in files if file.is_file() and pattern.search(file.read_bytes())] == []


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("v18.20.4", False),
        ("v20.18.9", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0", True),
        ("nonsense", False),
    ],
)
def test_the_dashboard_is_built_with_a_node_that_vite_runs_on(
    version: str, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    assert (hook.machine_node() is not None) is fits


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_scripts_can_be_run(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    shell = path.read_text().splitlines()[0].rpartition("/")[2]
    subprocess.run([shell, "-n", path], check=True)
