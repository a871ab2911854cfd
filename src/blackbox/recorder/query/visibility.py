"""What a viewer may see of a recorded event."""

from msgspec import structs

from blackbox.model.event import Event
from blackbox.model.query import NumberedEvent
from blackbox.recorder.storage.event_log import RecordedEvent


def numbered(recorded: RecordedEvent, viewer_uid: int | None) -> NumberedEvent:
    """The event as this viewer may see it: the insides of a process are its owner's."""
    event = recorded.event
    fields = {name: getattr(event, name) for name in Event.__struct_fields__}
    simulated = event.oom is not None and event.oom.source == "simulated"
    if viewer_uid is not None and event.uid != viewer_uid and not simulated:
        fields["oom"] = None
        if event.process is not None and event.process.exception is not None:
            fields["process"] = structs.replace(event.process, exception=None)
    return NumberedEvent(id=recorded.id, **fields)
