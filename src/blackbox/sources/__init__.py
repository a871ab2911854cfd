"""Where numbers come from: one package per origin, behind one Protocol (`sources/base.py`) and one table.

A new source is one package with a `SPEC`, and one line in `SOURCES`. The `__init__` of such a package holds its `SPEC`
and nothing that takes time to import; what does the work is imported where the source runs.
"""

from importlib import import_module

from blackbox.sources.base import Source, SourceContext, SourceOption, SourceSpec

__all__ = ["SOURCES", "Source", "SourceContext", "SourceOption", "SourceSpec", "load_spec"]


def load_spec(package: str) -> SourceSpec:
    """The declaration of the source in a package. Raises `ImportError`, or `TypeError` where it has none."""
    spec = getattr(import_module(package), "SPEC", None)
    if not isinstance(spec, SourceSpec):
        raise TypeError(f"{package} has no SPEC of a source")
    return spec


SOURCES: tuple[SourceSpec, ...] = tuple(
    load_spec(f"{__name__}.{package}")
    for package in (
        "nvml",
        "pm_sampling",
        "amd",
        "agents",
        "engines",
        "simulated",
    )
)
