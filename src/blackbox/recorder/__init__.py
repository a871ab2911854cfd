"""The flight recorder: every moment and every event, always, in bounded disk; and the questions one can ask of it.

Moments come from the hub (`Recorder.take`), pass through a bounded queue into one thread (`Store`), and go into tiers
of chunks, one SQLite file each (`docs/decisions/0003-recording.md`). `Recording` reads them, while they are written or
copied elsewhere.
"""

from blackbox.model.answers import Aggregate, History, Series
from blackbox.recorder.directory import HeldError, data_directory
from blackbox.recorder.event_log import RecordedEvent
from blackbox.recorder.metrics import METRICS
from blackbox.recorder.readings import Reading
from blackbox.recorder.recorder import Recorder, RecorderStatus
from blackbox.recorder.recording import Recording

__all__ = [
    "METRICS",
    "Aggregate",
    "HeldError",
    "History",
    "Reading",
    "RecordedEvent",
    "Recorder",
    "RecorderStatus",
    "Recording",
    "Series",
    "data_directory",
]
