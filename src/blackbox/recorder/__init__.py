"""The flight recorder: every moment and every event, always, in bounded disk; and the questions one can ask of it.

Moments come from the hub (`Recorder.take`), pass through a bounded queue into one thread (`Store`), and go into tiers
of chunks, one SQLite file each (`docs/decisions/0003-recording.md`). `Recording` reads them, while they are written or
copied elsewhere.
"""

from blackbox.model.query import Aggregate, History, Series
from blackbox.model.status import RecorderStatus
from blackbox.recorder.query.recording import Recording
from blackbox.recorder.query.samples import RecordedNumber
from blackbox.recorder.recorder import Recorder
from blackbox.recorder.storage.directory import HeldError
from blackbox.recorder.storage.event_log import RecordedEvent

__all__ = [
    "Aggregate",
    "HeldError",
    "History",
    "RecordedEvent",
    "RecordedNumber",
    "Recorder",
    "RecorderStatus",
    "Recording",
    "Series",
]
