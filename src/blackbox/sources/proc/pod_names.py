"""Names of pods: the kubelet keeps a directory of logs for each, `/var/log/pods/NAMESPACE_POD_UID`."""

import os
import re
import stat
from itertools import islice
from pathlib import Path
from typing import NamedTuple

LOGS = Path("/var/log/pods")
ENTRIES_MAX = 20_000
"""Of that directory that are looked at: a node has some hundred pods, and keeps the logs of dead ones for a while."""
KNOWN_MAX = 2_048
"""Names remembered; then all are forgotten, and looked up again."""
_NAME = re.compile(r"([a-z0-9-]{1,63})_([a-z0-9.-]{1,253})_([0-9a-f-]{32,36})")
_EVERYONE = stat.S_IROTH | stat.S_IXOTH


class PodName(NamedTuple):
    """What people call a pod."""

    namespace: str
    pod: str


class PodNames:
    """Looks names up by the uid of the pod. Only where every user of the machine may: they are told to everyone."""

    def __init__(self, logs: Path = LOGS) -> None:
        self._logs = logs
        self._known: dict[str, PodName] = {}

    def of(self, uid: str) -> tuple[PodName | None, str | None]:
        """The name, or why it is not known."""
        if uid in self._known:
            return self._known[uid], None
        try:
            if self._logs.stat().st_mode & _EVERYONE != _EVERYONE:
                return None, f"not every user may read {self._logs}"
            name = self._look(uid)
        except OSError as error:
            return None, f"{self._logs}: {error.strerror or error}"
        if name is None:
            return None, f"{self._logs} has no directory of it"
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[uid] = name
        return name, None

    def _look(self, uid: str) -> PodName | None:
        with os.scandir(self._logs) as entries:
            for entry in islice(entries, ENTRIES_MAX):
                match = _NAME.fullmatch(entry.name)
                if match is not None and match[3] == uid:
                    return PodName(match[1], match[2])
        return None
