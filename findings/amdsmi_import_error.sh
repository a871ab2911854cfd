#!/bin/sh
# Where AMD's library is missing, `import amdsmi` raises a `KeyError`, and prints to the standard output.
#
# Expected: a package whose library is not on the machine raises `ImportError` or `OSError`, so that `try: import amdsmi
# / except ImportError:` is how a program for several vendors begins. What happens: the loader's error is caught, two
# lines are printed - to the output, where they end up before a program's JSON - and the import then ends with
# `KeyError: 'libamd_smi.so'`. `pyrsmi` puts that off: it can be imported, and its `smi_initialize()` raises it. With
# amdsmi 7.0.2 and pyrsmi 1.1.0.
#
# So: this import, or the first call, is guarded with `except Exception`, and its output is caught, or the library is
# looked for first.

. "$(dirname "$0")/evidence.sh"

install amdsmi==7.0.2 pyrsmi==1.1.0
unset ROCM_PATH ROCM_HOME
evidence <<'PYTHON'
import contextlib
import importlib
import io
from collections.abc import Callable

from evidence import Evidence


def outcome(work: Callable[[], object]) -> tuple[list[str], str, int]:
    """The classes of what it raises, its text, and how many lines it printed to the output."""
    printed, kinds, text = io.StringIO(), [], ""
    with contextlib.redirect_stdout(printed):
        try:
            work()
        except Exception as error:
            kinds, text = [one.__name__ for one in type(error).__mro__[:-2]], str(error)
    return kinds, text, len(printed.getvalue().splitlines())


found = (["KeyError", "LookupError", "Exception"], "'libamd_smi.so'", 2)
evidence = Evidence()
evidence.see("import amdsmi: what it raises, its text, lines", outcome(lambda: importlib.import_module("amdsmi")), found)
evidence.see("import pyrsmi.rocml", outcome(lambda: importlib.import_module("pyrsmi.rocml")), ([], "", 0))
initialize = importlib.import_module("pyrsmi.rocml").smi_initialize
evidence.see("its smi_initialize()", outcome(initialize), found)
evidence.close()
PYTHON
