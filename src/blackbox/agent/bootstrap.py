"""Where the agent starts: waits, unnoticed by the program, for a framework to be imported.

Runs at the start of every Python under `blackbox run`, so it imports nothing that is not loaded anyway.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` takes 5 ms to import, `__future__` half of one
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.abc import Loader, MetaPathFinder
    from importlib.machinery import ModuleSpec
    from types import ModuleType

VARIABLE = "BLACKBOX_AGENT"
"""Unset: only `attach` starts the agent. One of `OFF`: nothing does. Anything else: it starts by itself."""
PROBES_VARIABLE = "BLACKBOX_AGENT_PROBES"
"""Probes of the user's own: `module=module of the probe`, separated by commas."""
OFF = ("0", "off", "false", "no")

_RUNTIME = "blackbox.agent.runtime"
"""Loaded with the first framework only."""
_socket = ""
"""Where the server listens, as `attach` was told; empty: where the environment says."""


def start() -> None:
    """What the interpreter calls at its start. Never raises."""
    if os.environ.get(VARIABLE):
        attach()


def is_off(environ: "Mapping[str, str]") -> bool:
    """Whether these variables keep the agent out, whatever else is said."""
    return environ.get(VARIABLE, "").strip().lower() in OFF


def attach(socket: str = "") -> None:
    """Begins to watch imports, and starts the probes of what is imported already; wakes an agent that was detached.

    `socket`: where the server listens; empty, where the environment says. Never raises.
    """
    global _socket
    try:
        if is_off(os.environ):
            return
        _socket = socket or _socket
        if runtime := _loaded_runtime():
            runtime.wake(socket)
        if not any(isinstance(finder, ImportWatch) for finder in sys.meta_path):
            watch = ImportWatch(_probes(), _start_probes)
            sys.meta_path.insert(0, watch)
            watch.start_loaded()
    except Exception:  # noqa: S110 - the program must not notice
        pass


def detach() -> None:
    """Ends what `attach` began, as far as it can be ended. Never raises."""
    try:
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ImportWatch)]
        if runtime := _loaded_runtime():
            runtime.detach()
    except Exception:  # noqa: S110 - the program must not notice
        pass


class ImportWatch:
    """A finder that finds nothing of its own: it passes on what the others find, and learns when that has run."""

    def __init__(self, probes: dict[str, list[str]], start: "Callable[[ModuleType, Sequence[str]], None]") -> None:
        """`probes`: module -> modules of its probes (`a.*.b_`: of any module whose name begins with `a.` and has `.b_`
        in it); `start` is called with a module that has run, and its probes."""
        self._probes = probes
        self._families = {name: tuple(name.split("*", 1)) for name in probes if "*" in name}
        self._start = start

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """What the finders behind this one say, with a loader that starts the probes afterwards."""
        if not self._probes_of(name):
            return None
        for finder in _behind(self):
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _ProbeLoader(spec.loader, self._imported)  # pyright: ignore[reportAttributeAccessIssue]
                return spec
        return None

    def start_loaded(self) -> None:
        """Starts the probes of modules whose import is over."""
        for name in [name for name in list(sys.modules) if self._probes_of(name)]:
            module = sys.modules.get(name)
            if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
                self._imported(module)

    def _imported(self, module: "ModuleType") -> None:
        self._start(module, self._probes_of(module.__name__))

    def _probes_of(self, name: str) -> "Sequence[str]":
        if name in self._probes:
            return self._probes[name]
        for family, (start, part) in self._families.items():
            if name.startswith(start) and part in name:
                return self._probes[family]
        return ()


class _ProbeLoader:
    """Stands in for a module's loader until the module runs; the module itself never sees it."""

    def __init__(self, loader: "Loader", imported: "Callable[[ModuleType], None]") -> None:
        self._loader = loader
        self._imported = imported

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        return self._loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported(module)


def _behind(finder: "ImportWatch") -> "Sequence[MetaPathFinder]":
    place = next((place for place, other in enumerate(sys.meta_path) if other is finder), -1)
    return sys.meta_path[place + 1 :]  # pyright: ignore[reportReturnType]


def _loaded_runtime() -> "ModuleType | None":
    """What runs the probes, once something has begun to load it; whole, also where another thread is at that still."""
    if _RUNTIME not in sys.modules:
        return None
    from blackbox.agent import runtime

    return runtime


def _start_probes(module: "ModuleType", probes: "Sequence[str]") -> None:
    try:
        from blackbox.agent import runtime

        runtime.start_probes(module, probes, _socket)
    except Exception:  # noqa: S110 - the program must not notice
        pass


def _probes() -> dict[str, list[str]]:
    from blackbox.agent.probes import PROBES

    own = (pair.partition("=") for pair in os.environ.get(PROBES_VARIABLE, "").split(",") if "=" in pair)
    table: dict[str, list[str]] = {}
    for module, probe in (*PROBES, *((module.strip(), probe.strip()) for module, _, probe in own)):
        table.setdefault(module, []).append(probe)
    return table
