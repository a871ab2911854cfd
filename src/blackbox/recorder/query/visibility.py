"""Recorded events as a viewer may see them."""

from blackbox.model.event import Event
from blackbox.model.query import NumberedEvent
from blackbox.model.visibility import visible_event
from blackbox.recorder.storage.event_log import RecordedEvent


def numbered(recorded: RecordedEvent, viewer_uid: int | None) -> NumberedEvent:
    """The event as this viewer may see it, with its place in the recording."""
    event = visible_event(recorded.event, viewer_uid)
    told = {name: getattr(event, name) for name in Event.__struct_fields__}
    return NumberedEvent(id=recorded.id, shortened=recorded.shortened and event.oom is not None, **told)
