"""Brings the agent into a Python that has no Blackbox installed: `blackbox run` puts this folder on `PYTHONPATH`.

Leaves no trace on `sys.path`, and hands over to the environment's own `sitecustomize`, if it has one.
"""

import os
import sys

_SHIM = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - `pathlib` would be imported for it


def _start_agent() -> None:
    folder = os.path.dirname(os.path.dirname(os.path.dirname(_SHIM)))  # noqa: PTH120
    # last, and for this one import only: what else lies there is not the program's business
    sys.path.append(folder)
    try:
        from blackbox.agent.bootstrap import start

        start()
    except Exception:  # noqa: S110 - the program must not notice
        pass
    finally:
        sys.path.remove(folder)


def _hand_over() -> None:
    """Imports the next `sitecustomize`; where there is none, the error is the one that Python expects then."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _SHIM]  # noqa: PTH100
    sys.modules.pop("sitecustomize", None)
    __import__("sitecustomize")


_start_agent()
_hand_over()
