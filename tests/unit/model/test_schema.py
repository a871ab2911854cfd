"""The published schema and the pages made of it."""

import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from blackbox.model import reference as api_reference
from blackbox.model.docstrings import field_texts
from blackbox.model.endpoints import ENDPOINTS, HEALTH
from blackbox.model.parts import Device
from blackbox.model.schema import openapi, snapshot_schema
from blackbox.model.snapshot import Process
from blackbox.outputs.prometheus import reference as metrics_reference
from blackbox.outputs.prometheus.exporter import GPU_FAMILIES, PROCESS_FAMILIES, SERVER_FAMILIES
from blackbox.server.api.health import Health
from tests.contract import reference_text

DOCS = Path(__file__).parents[3] / "docs"


def test_the_text_under_a_field_is_its_description() -> None:
    process = snapshot_schema()["$defs"]["Process"]
    assert process["properties"]["pid"]["description"] == "Process id, in the server's pid namespace."
    assert process["description"] == inspect.getdoc(Process)


def test_texts_of_a_base_class_are_inherited() -> None:
    assert field_texts(Device)["unknown"].startswith("Field name")
    assert field_texts(Device)["taken_at"] == "When `memory` was read."


def test_every_published_field_is_described() -> None:
    definitions = snapshot_schema()["$defs"]
    bare = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, schema in definition["properties"].items()
        if not schema.get("description")
    ]
    assert bare == []


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(snapshot_schema())


def references(part: Any) -> set[str]:
    """Every `$ref` in a document."""
    if isinstance(part, dict):
        own = {part["$ref"]} if "$ref" in part else set[str]()
        return own.union(*(references(value) for value in part.values()))
    if isinstance(part, list):
        return set[str]().union(*(references(value) for value in part))
    return set()


def test_openapi_describes_every_route_and_refers_only_to_what_it_holds() -> None:
    document = json.loads(openapi())
    assert document["openapi"].startswith("3.1")
    assert list(document["paths"]) == [endpoint.path for endpoint in ENDPOINTS]
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    operations = [route["get"] for route in document["paths"].values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert all(response["description"] for response in operation["responses"].values())


@pytest.mark.parametrize(
    ("name", "page", "command"),
    [
        ("api.md", api_reference.page, "python -m blackbox.model.reference > docs/api.md"),
        ("metrics.md", metrics_reference.page, "python -m blackbox.outputs.prometheus.reference > docs/metrics.md"),
    ],
)
def test_a_generated_page_is_up_to_date(name: str, page: Any, command: str) -> None:
    assert (DOCS / name).read_text() == page(), f"out of date: {command}"


def test_the_description_of_health_is_that_of_the_server() -> None:
    (described,), parts = msgspec.json.schema_components((Health,), ref_template="{name}")
    own = parts[described["$ref"]]
    assert own["properties"].keys() == HEALTH["properties"].keys()
    assert own["properties"]["status"]["enum"] == HEALTH["properties"]["status"]["enum"]


def test_the_page_lists_every_field_of_the_contract_with_its_documented_type() -> None:
    sections = dict(section.split("\n", 1) for section in api_reference.page().split("\n## ")[1:])
    for field in reference_text.fields():
        rows = [row for row in sections[field.struct].split("\n") if row.startswith(f"| `{field.name}` |")]
        assert len(rows) == 1, f"{field.struct}.{field.name}"
        assert rows[0].split("|")[2].strip().startswith(field.type), rows[0]
        assert "or null" not in rows[0].split("|")[2], rows[0]
        for word in field.words:
            assert f"`{word}`" in rows[0]


def test_the_page_lists_every_metric() -> None:
    page = metrics_reference.page()
    for family in (*GPU_FAMILIES, *PROCESS_FAMILIES, *SERVER_FAMILIES):
        assert f"| `{family.name}` | {family.kind} |" in page
