"""Where numbers come from: one package per origin, behind one Protocol (`sources/base.py`) and one table.

A new source is one package with a `SPEC`, and one line in `PACKAGES`. The `__init__` of such a package holds its `SPEC`
and nothing that takes time to import; what does the work is imported where the source runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from blackbox.sources.base import Source, SourceContext, SourceOption, SourceSpec

__all__ = ["SOURCES", "Source", "SourceContext", "SourceOption", "SourceSpec", "load_spec"]


if TYPE_CHECKING:
    SOURCES: tuple[SourceSpec, ...]
    """All that there are."""
PACKAGES = (
    "nvml",
    "pm_sampling",
    "amd",
    "agents",
    "engines",
    "kubelet",
    "simulated",
)
"""Folders of this package, in the order in which their flags are listed."""


def load_spec(package: str) -> SourceSpec:
    """The declaration of the source in a package. Raises `ImportError`, or `TypeError` where it has none."""
    spec = getattr(import_module(package), "SPEC", None)
    if not isinstance(spec, SourceSpec):
        raise TypeError(f"{package} has no SPEC of a source")
    return spec


def __getattr__(name: str) -> tuple[SourceSpec, ...]:
    """`SOURCES`, loaded when first asked for: what reads a file alone needs no declaration of a source."""
    if name != "SOURCES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = tuple(load_spec(f"{__name__}.{package}") for package in PACKAGES)
    return found
