"""The API reference as Markdown, out of the published schema: `python -m blackbox.model.reference > docs/api.md`."""

import sys
from collections.abc import Iterator
from typing import Any

from blackbox.model.openapi import paths
from blackbox.model.schema import answer_definitions, snapshot_schema

HEAD = """\
# API reference

<!-- Made by `python -m blackbox.model.reference > docs/api.md`; a test compares. Edit the structs, not this file. -->

The server answers on `http://localhost:6767`. All sizes are bytes, all ratios 0 to 1, all percentages 0 to 100. A key
is always present and of the type given here, except keys marked "may be absent". A value nobody could measure is 0 or
empty and named, with the reason, in the `unknown` of the same object. `GET /openapi.json` answers the same for
machines. `HEAD` works wherever `GET` does, other methods are answered 405.
"""

FLOAT = "float"
"""JSON Schema says "number", the contract "float"."""


def page() -> str:
    """The whole page."""
    snapshot = snapshot_schema()["$defs"]
    answers = {name: definition for name, definition in answer_definitions().items() if name not in snapshot}
    return "\n".join([HEAD, *_routes(), *_objects(snapshot), *_objects(answers)])


def _routes() -> Iterator[str]:
    yield "## Routes\n"
    for path, methods in paths().items():
        for method, route in methods.items():
            yield f"### {method.upper()} {path}\n"
            yield " ".join(filter(None, [route["summary"], route.get("description")])) + "\n"
            yield from _parameters(route.get("parameters", []))
            yield from _answers(route["responses"])


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if not parameters:
        return
    yield "| Parameter | In | Values | Meaning |\n|---|---|---|---|"
    for parameter in parameters:
        values = _values(parameter["schema"])
        meaning = " ".join([parameter["description"], *_when_absent(parameter)])
        yield f"| `{parameter['name']}` | {parameter['in']} | {values} | {meaning} |"
    yield ""


def _when_absent(parameter: dict[str, Any]) -> Iterator[str]:
    if parameter.get("required"):
        yield "Needed."
    if "default" in parameter["schema"]:
        yield f"Default: `{parameter['schema']['default']}`."


def _answers(responses: dict[str, Any]) -> Iterator[str]:
    yield "| Status | Content type | Meaning |\n|---|---|---|"
    for status, response in sorted(responses.items()):
        types = ", ".join(f"`{content}`" for content in response.get("content", {}))
        yield f"| {status} | {types} | {response['description']} |"
    yield ""


def _objects(definitions: dict[str, Any]) -> Iterator[str]:
    for name, definition in definitions.items():
        yield f"## {name}\n"
        yield definition["description"] + "\n"
        yield "| Field | Type | Meaning |\n|---|---|---|"
        for field, schema in definition.get("properties", {}).items():
            absent = "" if field in definition["required"] else " May be absent."
            yield f"| `{field}` | {_type(schema)} | {_text(schema)}{absent} |"
        for place, schema in enumerate(definition.get("prefixItems", ())):
            yield f"| [{place}] `{schema['title']}` | {_type(schema)} | {_text(schema)} |"
        yield ""


def _text(schema: dict[str, Any]) -> str:
    return " ".join(schema.get("description", "").split())


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return f"string: {_choices(schema)}" + (" or null" if None in schema["enum"] else "")
    if "prefixItems" in schema:
        return f"array of {len(schema['prefixItems'])}"
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"object of {_type(schema['additionalProperties'])}"
    return FLOAT if schema["type"] == "number" else schema["type"]


def _choices(schema: dict[str, Any]) -> str:
    return ", ".join(f"`{value}`" for value in schema["enum"] if value is not None)


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return _choices(schema)
    bounds = f", {schema['minimum']} to {schema['maximum']}" if "minimum" in schema else ""
    return f"{_type(schema)}{bounds}"


if __name__ == "__main__":
    sys.stdout.write(page())
