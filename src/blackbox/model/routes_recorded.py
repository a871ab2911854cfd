"""The HTTP routes that ask the recording, as OpenAPI describes them."""

from typing import Any, get_args

from blackbox.model.routes import BLOCKS, GPU, LAST_EVENT_ID, REFUSALS, RETRY_AFTER, SNAPSHOT, text_answer
from blackbox.model.sample import EventKind

TIME_FORMS = "Unix seconds, ISO 8601 (UTC where it names no zone), or how long ago: `-15m`"
KINDS = get_args(EventKind)

BAD_QUERY = {"400": text_answer("A parameter is unknown, missing, or has no such value.")}
NO_RECORDING = {"404": text_answer("This server keeps no recording.")}
NOT_RECORDED = {"404": text_answer("Nothing was recorded then, the GPU was not there, or there is no recording.")}
BUSY = {"503": text_answer("Too many questions at once.", RETRY_AFTER)}


def _parameter(name: str, description: str, *, required: bool = False, **schema: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "in": "query", "description": description}
    return found | ({"required": True} if required else {}) | {"schema": {"type": "string", **schema}}


def _time(name: str, description: str, *, required: bool = False) -> dict[str, Any]:
    return _parameter(name, f"{description} {TIME_FORMS}.", required=required)


PID = _parameter("pid", "One process, or one engine.", type="integer", minimum=0)
METRIC = _parameter("metric", "Key of the snapshot, its GPUs, processes or engines.", default="used_bytes")
SERIES_GPU = GPU | {"description": "Index or UUID of a GPU, or UUID of a MIG instance. Everything when absent."}
KIND = _parameter("kind", f"Kinds of events, separated by commas: {', '.join(KINDS)}. All when absent.")


def _route(
    operation: str, summary: str, answer: str, parameters: list[dict[str, Any]], missing: dict[str, Any]
) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": "The answer.", "content": content},
                **BAD_QUERY,
                **missing,
                **BUSY,
                **REFUSALS,
            },
        }
    }


RECORDED_PATHS: dict[str, Any] = {
    "/vram/history": _route(
        "history",
        "A metric over time, of the machine, its GPUs and its processes. A gap in the recording stays a gap.",
        "History",
        [
            _time("from", "Start; an hour before the end when absent."),
            _time("to", "End; now when absent."),
            SERIES_GPU,
            PID,
            METRIC,
            _parameter("points", "Most points per series.", type="integer", minimum=1, maximum=10_000, default=300),
        ],
        NO_RECORDING,
    ),
    "/vram/at": _route(
        "at",
        "The snapshot as of then, with its own `seq` and `timestamp`.",
        SNAPSHOT["$ref"].rsplit("/", 1)[1],
        [_time("t", "The time.", required=True), GPU, BLOCKS],
        NOT_RECORDED,
    ),
    "/vram/events": _route(
        "events",
        "What happened, oldest first.",
        "EventList",
        [
            _time("since", "Not before."),
            _time("until", "Not after."),
            KIND,
            _parameter("limit", "The newest so many.", type="integer", minimum=1, maximum=10_000, default=1000),
        ],
        NO_RECORDING,
    ),
    "/vram/events/stream": {
        "get": {
            "operationId": "eventStream",
            "summary": "Events as they happen, as server-sent events.",
            "description": "`event` is the kind, `id` the event's id, `data` the event as in `/vram/events`. "
            "A client that comes back with `Last-Event-ID` gets all it missed.",
            "parameters": [KIND, LAST_EVENT_ID],
            "responses": {
                "200": {
                    "description": "Events whose `data` is a NumberedEvent.",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}},
                },
                **BAD_QUERY,
                **NO_RECORDING,
                "503": text_answer("As many streams are open as are allowed.", RETRY_AFTER),
                **REFUSALS,
            },
        }
    },
    "/vram/compare": _route(
        "compare",
        "What is new, gone, grown or shrunk between two times, by process and by type of block.",
        "Comparison",
        [_time("a", "The earlier.", required=True), _time("b", "The later; the newest snapshot when absent."), GPU],
        NOT_RECORDED,
    ),
    "/vram/aggregated": _route(
        "aggregated",
        "Least, largest, mean and percentiles of each series over a window.",
        "Aggregated",
        [
            _parameter("window", "Its length, such as `15m`, `24h`, `7d`.", default="5m"),
            _time("to", "Its end; now when absent."),
            SERIES_GPU,
            PID,
            METRIC,
        ],
        NO_RECORDING,
    ),
    "/vram/forecast": _route(
        "forecast",
        "Predictions: when memory that steadily fills will be full; and settings worth changing. Told apart from "
        "what was measured, and with the evidence.",
        "Forecast",
        [],
        NO_RECORDING,
    ),
}
for _path in ("/vram/compare", "/vram/forecast"):
    RECORDED_PATHS[_path]["get"]["responses"]["503"] = text_answer("No sample yet, or too many questions.", RETRY_AFTER)
