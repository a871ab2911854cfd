"""What a viewer may see of a recorded event."""

from msgspec import structs

from blackbox.model.event import Event
from blackbox.model.query import NumberedEvent
from blackbox.recorder.storage.event_log import RecordedEvent


def visible(event: Event, viewer_uid: int | None) -> Event:
    """The event as this viewer may see it: the insides of a process are its owner's."""
    simulated = event.oom is not None and event.oom.source == "simulated"
    if viewer_uid is None or event.uid == viewer_uid or simulated:
        return event
    process = event.process
    if process is not None and process.exception is not None:
        process = structs.replace(process, exception=None)
    return structs.replace(event, oom=None, process=process)


def numbered(recorded: RecordedEvent, viewer_uid: int | None) -> NumberedEvent:
    """The event as this viewer may see it, with its id."""
    event = visible(recorded.event, viewer_uid)
    return NumberedEvent(id=recorded.id, **{name: getattr(event, name) for name in Event.__struct_fields__})
