"""What endpoints answer, by status, where several answer alike."""

from msgspec import Struct

from blackbox.model.endpoint import StatusAnswer

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
SCRIPT = "text/javascript"
STYLE = "text/css"


def unavailable(reason: str) -> dict[int, StatusAnswer]:
    return {503: StatusAnswer(help=reason, headers=("Retry-After",))}


def json_answer(body: type[Struct], help: str = "The answer.") -> StatusAnswer:  # noqa: A002 - as in StatusAnswer
    return StatusAnswer(help=help, content_type=JSON, body=body)


def events_answer(of: str) -> StatusAnswer:
    return StatusAnswer(help=f"Events whose `data` is a {of}.", content_type=EVENT_STREAM)


REFUSED = {
    401: StatusAnswer(help="A token or password is needed.", headers=("WWW-Authenticate",)),
    403: StatusAnswer(help="Foreign `Host` or `Origin`."),
    500: StatusAnswer(help="`Internal Server Error`; the cause is in the server's log."),
}
BAD_QUERY = {400: StatusAnswer(help="A parameter is unknown, missing, or has no such value.")}
NO_GPU = {404: StatusAnswer(help="The machine has no such GPU.")}
NO_SAMPLE = unavailable("No sample yet.")
NO_RECORDING = {404: StatusAnswer(help="This server keeps no recording.")}
NOT_RECORDED = {404: StatusAnswer(help="Nothing was recorded then, the GPU was not there, or there is no recording.")}
BUSY = unavailable("Too many requests about the recording at once.")
NO_SAMPLE_OR_BUSY = unavailable("No sample yet, or too many requests about the recording at once.")
TOO_MANY_STREAMS = unavailable("As many streams are open as are allowed.")
