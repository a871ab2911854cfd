"""What every answer owes to the contract."""

from functools import cache
from typing import Any

import jsonschema

from blackbox.model.schema import snapshot_schema
from tests.contract import reference_text


@cache
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(snapshot_schema())


def objects(answer: dict[str, Any], struct: str) -> list[dict[str, Any]]:
    """All objects of one kind in an answer."""
    return {
        "Snapshot": [answer],
        "Process": answer["processes"],
        "Thread": answer["threads"],
        "Block": answer["blocks"],
        "KernelMetrics": list(answer["nsight_metrics"].values()),
    }[struct]


def assert_honours_the_contract(answer: dict[str, Any]) -> None:
    """Every documented key is there, of its type and among its words; the schema agrees."""
    fields = reference_text.fields()
    assert len(fields) == 13 + 4 + 3 + 6 + 8, "the tables of the API reference changed"
    for field in fields:
        for row in objects(answer, field.struct):
            assert field.name in row, f"{field.struct}.{field.name} is missing"
            value = row[field.name]
            assert reference_text.is_of(value, field.type), f"{field.struct}.{field.name} = {value!r}"
            assert not field.words or value in field.words, f"{field.struct}.{field.name} = {value!r}"
    validator().validate(answer)
