"""Where Blackbox keeps its files: what ends with the boot, recordings, settings.

The agent needs some of them inside other people's programs: the standard library alone, on Python 3.9, and nothing that
takes long to import.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # `typing` takes 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER = "blackbox"
"""In each of XDG's directories."""
SYSTEM_RUNTIME = "/run/blackbox"
"""Of a server for all users. Only root can create it."""
AGENT_SOCKET = "agent.sock"
"""In a runtime directory: where agents report to the server."""
SNAPSHOT_SUFFIXES = (".pickle", ".pkl", ".pickle.gz", ".pkl.gz", ".pickle.zst", ".pkl.zst")
"""Of files that are taken for memory snapshots of PyTorch."""


def runtime_directory(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> Path:
    """Where servers of this user keep what ends with the boot: systemd's choice, the session's, the machine's."""
    from pathlib import Path

    uid = os.getuid() if uid is None else uid
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if session := environ.get("XDG_RUNTIME_DIR"):
        return Path(session, FOLDER)
    if uid == 0:
        return Path(SYSTEM_RUNTIME)
    import tempfile  # 0.6 MiB, which few servers need

    return Path(tempfile.gettempdir(), f"{FOLDER}-{uid}")


def agent_sockets(environ: Mapping[str, str], uid: int) -> tuple[str, str]:
    """Where an agent of this user tries to connect, in order: to a server of the user, to one for all."""
    session = environ.get("XDG_RUNTIME_DIR")
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the agent checks whom it meets there
    own = f"{session}/{FOLDER}" if session else f"{temporary}/{FOLDER}-{uid}"
    return f"{own}/{AGENT_SOCKET}", f"{SYSTEM_RUNTIME}/{AGENT_SOCKET}"


def data_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where recordings go by default: systemd's choice, else XDG's state directory."""
    import pwd
    from pathlib import Path

    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    state = environ.get("XDG_STATE_HOME")
    if state and Path(state).is_absolute():
        return Path(state, FOLDER)
    return Path(environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir, ".local", "state", FOLDER)


def settings_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the settings file is by default; None without a home."""
    from pathlib import Path

    base = environ.get("XDG_CONFIG_HOME")
    if base and Path(base).is_absolute():
        return Path(base, FOLDER, "config.toml")
    home = environ.get("HOME")
    return Path(home, ".config", FOLDER, "config.toml") if home else None
