"""The published description of the answers: JSON Schema of the snapshot, OpenAPI of the routes.

Names, types and bounds come from the structs, descriptions from the texts under their fields.
"""

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from blackbox.model import about, block_table, dump, event, fleet, forecast, parts, sample, status
from blackbox.model import query as answers
from blackbox.model import snapshot as snapshot_module
from blackbox.model.docstrings import field_texts
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.openapi import paths
from blackbox.model.snapshot import SCHEMA_VERSION, Snapshot

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OPENAPI_VERSION = "3.1.0"
ANSWERS: tuple[type[Struct], ...] = tuple(
    dict.fromkeys(
        body
        for endpoint in ENDPOINTS
        for body in (endpoint.answer.body, endpoint.answer.head)
        if body is not None and body is not Snapshot
    )
)
"""Bodies of the other answers, and heads of those of packed numbers."""


def snapshot_schema() -> dict[str, Any]:
    """JSON Schema of `GET /vram` and of the data of every stream event."""
    (root,), definitions = _described("#/$defs/{name}", Snapshot)
    return {"$schema": DIALECT, "title": "Blackbox snapshot", **root, "$defs": definitions}


@cache
def openapi() -> bytes:
    """OpenAPI description of all routes, as JSON."""
    _, schemas = _described("#/components/schemas/{name}", Snapshot, *ANSWERS)
    return msgspec.json.encode(
        {
            "openapi": OPENAPI_VERSION,
            "info": {
                "title": "Blackbox",
                "description": "The flight recorder for GPU memory. Sizes are bytes.",
                "version": str(SCHEMA_VERSION),
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths(),
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "password": {"type": "http", "scheme": "basic"},
                },
            },
            "security": [{}, {"token": []}, {"password": []}],
        }
    )


def answer_definitions() -> dict[str, Any]:
    """The structs in the other answers, by name."""
    return _described("#/$defs/{name}", *ANSWERS)[1]


def _described(reference: str, *roots: type[Struct]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """Schemas of the `roots` as references, and of all structs in them, by name."""
    schemas, definitions = msgspec.json.schema_components(roots, ref_template=reference)
    for name, definition in definitions.items():
        struct = _structs()[name]
        texts = field_texts(struct)
        for field, schema in definition.get("properties", {}).items():
            text = texts.get(field) or texts.get(f"{field}_")  # `from` is no name for a field
            if text is not None:
                schema["description"] = text
        for field, schema in zip(struct.__struct_fields__, definition.get("prefixItems", ()), strict=False):
            schema["title"] = field
            if field in texts:
                schema["description"] = texts[field]
    return schemas, definitions


@cache
def _structs() -> dict[str, type[Struct]]:
    """The structs that answers are made of, by name."""
    return {
        name: value
        for module in (
            parts,
            sample,
            event,
            status,
            snapshot_module,
            answers,
            forecast,
            dump,
            block_table,
            about,
            fleet,
        )
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Struct)
    }
