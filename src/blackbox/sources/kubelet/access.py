"""Whether the kubelet can be asked from here."""

import os
import stat
from importlib.util import find_spec
from pathlib import Path

from blackbox.sources.base import OptionValues
from blackbox.sources.kubelet import KUBELET_SOCKET

EXTRA = "pip install 'blackbox-vram[kubelet]'"


def why_not(options: OptionValues) -> str | None:
    """Why it cannot, in one line; empty where there is no kubelet, and nothing to tell; None where it can."""
    return why_not_at(KUBELET_SOCKET.of(options))


def why_not_at(socket: Path) -> str | None:
    """The same of this socket."""
    try:
        if not stat.S_ISSOCK(socket.stat().st_mode):
            return f"{socket} is no socket"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it is not asked which GPUs pods were given: {socket}: {error.strerror}"
    if not os.access(socket, os.W_OK, effective_ids=True):
        return f"it is not asked which GPUs pods were given: this user may not open {socket}"
    if find_spec("h2") is None:
        return f"it is not asked which GPUs pods were given: that takes a library that is not installed ({EXTRA})"
    return None
