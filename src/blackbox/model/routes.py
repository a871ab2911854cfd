"""The HTTP routes, as OpenAPI describes them."""

from typing import Any

SNAPSHOT = {"$ref": "#/components/schemas/Snapshot"}
TEXT = {"text/plain": {"schema": {"type": "string"}}}

GPU = {
    "name": "gpu",
    "in": "query",
    "description": "Index or UUID of a GPU, or UUID of a MIG instance. All GPUs when absent.",
    "schema": {"type": "string"},
    "examples": {"index": {"value": "0"}, "uuid": {"value": "GPU-3f8c1a2e-5b7d-4c69-9a10-2f4e6d8b0c13"}},
}
BLOCKS = {
    "name": "blocks",
    "in": "query",
    "description": "Every block, blocks counted by process, type and use, or none. Sums and counts stay whole.",
    "schema": {"type": "string", "enum": ["full", "summary", "none"], "default": "full"},
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETag of the answer already at hand.",
    "schema": {"type": "string"},
}
LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "Id of the last event received; the stream resumes behind it as far as the kept history reaches.",
    "schema": {"type": "integer"},
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def text_answer(description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "content": TEXT} | ({"headers": headers} if headers else {})


REFUSALS: dict[str, Any] = {
    "401": text_answer("A token or password is needed.", {"WWW-Authenticate": {"schema": {"type": "string"}}}),
    "403": text_answer("Foreign `Host` or `Origin`."),
    "500": text_answer("`Internal Server Error`; the cause is in the server's log."),
}
BAD_QUERY = {"400": text_answer("A parameter is unknown or has no such value.")}
NO_GPU = {"404": text_answer("The machine has no such GPU.")}
NO_SAMPLE = {"503": text_answer("No sample yet.", RETRY_AFTER)}

HEALTH = {
    "type": "object",
    "required": ["status", "sources"],
    "properties": {
        "status": {
            "type": "string",
            "enum": ["ok", "stale", "starting"],
            "description": "`ok` only while the data of every source is fresh.",
        },
        "sources": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/SourceStatus"},
            "description": "As of now: ages have grown since the last sample.",
        },
        "recorder": {
            "type": ["object", "null"],
            "description": "How the recording goes, which `status` does not depend on; null where nothing is recorded.",
        },
    },
}

PATHS: dict[str, Any] = {
    "/": {
        "get": {
            "operationId": "index",
            "summary": "What there is to ask for.",
            "responses": {"200": text_answer("The routes, one a line."), **REFUSALS},
        }
    },
    "/vram": {
        "get": {
            "operationId": "snapshot",
            "summary": "The newest snapshot.",
            "parameters": [GPU, BLOCKS, IF_NONE_MATCH],
            "responses": {
                "200": {
                    "description": "The snapshot. Compressed with gzip or zstd where the client accepts it.",
                    "headers": {"ETag": {"schema": {"type": "string"}}},
                    "content": {"application/json": {"schema": SNAPSHOT}},
                },
                "304": {"description": "Nothing newer than the ETag in `If-None-Match`."},
                **BAD_QUERY,
                **NO_GPU,
                **NO_SAMPLE,
                **REFUSALS,
            },
        }
    },
    "/vram/stream": {
        "get": {
            "operationId": "stream",
            "summary": "Snapshots as they are made, as server-sent events.",
            "description": "The first event comes at once, then one per sample; `id` is the `seq` of its snapshot. "
            "A client too slow for that gets the newest snapshot and is told how many it missed.",
            "parameters": [GPU, BLOCKS, LAST_EVENT_ID],
            "responses": {
                "200": {
                    "description": "Events whose `data` is a snapshot.",
                    "content": {"text/event-stream": {"schema": {"type": "string"}}},
                },
                **BAD_QUERY,
                **NO_GPU,
                "503": text_answer("As many streams are open as are allowed.", RETRY_AFTER),
                **REFUSALS,
            },
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Prometheus text exposition. docs/metrics.md lists the names.",
            "responses": {"200": text_answer("Metrics."), **REFUSALS},
        }
    },
    "/healthz": {
        "get": {
            "operationId": "health",
            "summary": "Whether every source delivers fresh data.",
            "responses": {
                "200": {"description": "All fresh.", "content": {"application/json": {"schema": HEALTH}}},
                "503": {"description": "Some are not.", "content": {"application/json": {"schema": HEALTH}}},
                **REFUSALS,
            },
        }
    },
    "/readyz": {
        "get": {
            "operationId": "ready",
            "summary": "Whether the first sample has been taken.",
            "responses": {"200": text_answer("It has."), **NO_SAMPLE, **REFUSALS},
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "description",
            "summary": "This description.",
            "responses": {
                "200": {
                    "description": "OpenAPI 3.1.",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                },
                **REFUSALS,
            },
        }
    },
}
