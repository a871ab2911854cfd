"""The published description of the answers: JSON Schema of the snapshot, OpenAPI of the routes.

Names, types and bounds come from the structs, descriptions from the texts under their fields.
"""

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from blackbox.model import snapshot as snapshot_module
from blackbox.model.docstrings import field_texts
from blackbox.model.routes import PATHS
from blackbox.model.snapshot import SCHEMA_VERSION, Snapshot

DIALECT = "https://json-schema.org/draft/2020-12/schema"
OPENAPI_VERSION = "3.1.0"


def snapshot_schema() -> dict[str, Any]:
    """JSON Schema of `GET /vram` and of the data of every stream event."""
    root, definitions = _described("#/$defs/{name}")
    return {"$schema": DIALECT, "title": "Blackbox snapshot", **root, "$defs": definitions}


@cache
def openapi() -> bytes:
    """OpenAPI description of all routes, as JSON."""
    _, schemas = _described("#/components/schemas/{name}")
    return msgspec.json.encode(
        {
            "openapi": OPENAPI_VERSION,
            "info": {
                "title": "Blackbox",
                "description": "The flight recorder for GPU memory. Sizes are bytes.",
                "version": str(SCHEMA_VERSION),
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": PATHS,
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


def _described(reference: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Schema of the snapshot as a reference, and of all structs in it, by name."""
    (root,), definitions = msgspec.json.schema_components((Snapshot,), ref_template=reference)
    for name, definition in definitions.items():
        texts = field_texts(_structs()[name])
        for field, schema in definition["properties"].items():
            if field in texts:
                schema["description"] = texts[field]
    return root, definitions


@cache
def _structs() -> dict[str, type[Struct]]:
    """The structs that snapshots are made of, by name."""
    return {
        name: value
        for name, value in vars(snapshot_module).items()
        if isinstance(value, type) and issubclass(value, Struct)
    }
