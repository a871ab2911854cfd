"""The entries of a trace, read and gone through by compiled code: five times as fast as by Python, and never required.

The C of this folder is compiled where Blackbox is installed, if a C compiler is there (`building.py`, by
`hatch_build.py`), and its library lies beside these modules. Where it is missing, is of other sources, or does not
load, all is done by Python alone.
"""

from blackbox.sources.memory_snapshot.compiled.reader import compiled_reader

__all__ = ["compiled_reader"]
