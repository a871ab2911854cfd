"""What people are told: one sentence with its figures, and a link to the moment."""

import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from blackbox.model.event import Event
from blackbox.model.forecast import Outlook
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, gpu_name
from blackbox.model.text import size

NoticeKind = Literal["oom", "crash", "threshold", "full"]
TITLES: dict[NoticeKind, str] = {
    "oom": "out of memory",
    "crash": "a program crashed",
    "threshold": "GPU memory above a threshold",
    "full": "GPU memory will be full",
}
SENTENCE_CHARS_MAX = 500
"""The longest of ours is 200; names in it are those of programs."""


class Subject(NamedTuple):
    """What a notice is about: one after another of the same are told as one."""

    kind: NoticeKind
    gpu_uuid: str | None
    program: str | None


class Notice(NamedTuple):
    """One thing that happened, in words."""

    subject: Subject
    timestamp: float
    """Unix seconds."""
    sentence: str
    uid: int | None = None
    """Whose program it was; None where that is not known, or it is about a GPU."""
    simulated: bool = False


def of_event(event: Event, moment: Moment | None) -> Notice | None:
    """The event in words, with how full its GPU was in `moment`; None where nobody need be told."""
    match event.kind:
        case "oom" | "crash":
            kind: NoticeKind = event.kind
        case "threshold" if event.threshold is not None and event.threshold.above:
            kind = "threshold"
        case _:
            return None
    subject = Subject(kind, event.gpu_uuid, None if event.pid is None else _program(event, moment))
    return Notice(
        subject,
        event.timestamp,
        _sentence(event.message, event.gpu_uuid, moment),
        event.uid,
        _is_simulated(moment),
    )


def of_outlook(outlook: Outlook, now: float, moment: Moment | None) -> Notice:
    """The prediction in words."""
    sentence = _sentence(outlook.message, outlook.gpu_uuid, moment)
    return Notice(Subject("full", outlook.gpu_uuid, None), now, sentence, None, _is_simulated(moment))


def title(notice: Notice, host: str) -> str:
    """What stands above the sentence."""
    mark = "[SIMULATED] " if notice.simulated else ""
    return f"{mark}{host}: {TITLES[notice.subject.kind]}"


def body(notice: Notice, address: str) -> str:
    """When, what, and a link to the moment on the dashboard at `address`."""
    when = time.strftime("%H:%M:%S %Z", time.localtime(notice.timestamp))
    return f"{when}: {notice.sentence}\n{address}/#/moment?t={notice.timestamp:.3f}"


def folded(notice: Notice, count: int) -> Notice:
    """`count` notices of one subject, of which this is the last."""
    if count == 1:
        return notice
    return notice._replace(sentence=f"{count} times of late; the last: {notice.sentence}")


def _sentence(message: str, gpu_uuid: str | None, moment: Moment | None) -> str:
    plain = "".join(sign if sign.isprintable() else "?" for sign in message)
    device = next((device for device in _devices(moment) if device.uuid == gpu_uuid), None)
    if device is not None and device.memory is not None:
        memory = device.memory
        name = gpu_name(device.index, device.mig)
        plain = f"{plain} ({name}: {size(memory.used_bytes)} of {size(memory.total_bytes)} in use)"
    return plain[:SENTENCE_CHARS_MAX]


def _devices(moment: Moment | None) -> Iterator[Device]:
    for sample in () if moment is None else moment.samples:
        yield from sample.devices


def _program(event: Event, moment: Moment | None) -> str:
    """The name of the event's process, which a program that is started again keeps; else its pid."""
    if event.process is not None and event.process.name:
        return event.process.name
    processes = (process for sample in (() if moment is None else moment.samples) for process in sample.processes)
    name = next((process.name for process in processes if process.pid == event.pid), None)
    return name or str(event.pid)


def _is_simulated(moment: Moment | None) -> bool:
    return moment is not None and moment.simulated
