"""The declared endpoints: complete, and true to themselves."""

from typing import Any

import pytest

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.parameter import Parameter

PARAMETERS = {id(parameter): parameter for endpoint in ENDPOINTS for parameter in endpoint.parameters}.values()


def test_each_path_and_each_operation_is_declared_once() -> None:
    assert len({endpoint.path for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    assert len({endpoint.operation for endpoint in ENDPOINTS}) == len(ENDPOINTS)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_a_parameter_stands_once_and_what_refuses_unknown_ones_says_so(endpoint: Endpoint) -> None:
    names = [parameter.name for parameter in endpoint.parameters]
    assert len(set(names)) == len(names)
    assert (400 in endpoint.statuses) == (not endpoint.accepts_any_parameter)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_default_is_a_value_the_parameter_accepts(parameter: Parameter[Any]) -> None:
    assert not (parameter.required and parameter.default is not None)
    if parameter.default is not None:
        parameter.values.parse(parameter.default)
    for example in parameter.examples.values():
        parameter.values.parse(example)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_what_the_schema_says_is_what_is_accepted(parameter: Parameter[Any]) -> None:
    schema, parse = parameter.values.schema, parameter.values.parse
    for allowed in schema.get("enum", ()):
        assert parse(allowed) == allowed
    if "enum" in schema:
        with pytest.raises(ValueError, match="is none of"):
            parse("no such word")
    if "maximum" in schema:
        assert (parse(str(schema["minimum"])), parse(str(schema["maximum"]))) == (schema["minimum"], schema["maximum"])
        for beyond in (schema["minimum"] - 1, schema["maximum"] + 1):
            with pytest.raises(ValueError, match="is no whole number"):
                parse(str(beyond))
