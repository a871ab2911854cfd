"""The endpoints as OpenAPI describes paths."""

from typing import Any

from blackbox.model.endpoint import Endpoint, StatusAnswer
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.parameter import Parameter

TEXT_SCHEMA = {"type": "string"}
HEADERS: dict[str, dict[str, Any]] = {
    "Content-Security-Policy": {"schema": TEXT_SCHEMA},
    "ETag": {"schema": TEXT_SCHEMA},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"schema": TEXT_SCHEMA},
}


def paths() -> dict[str, Any]:
    """Path -> its methods. Bodies refer to `#/components/schemas/`."""
    return {endpoint.path: {"get": _operation(endpoint)} for endpoint in ENDPOINTS}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": endpoint.operation, "summary": endpoint.summary}
    if endpoint.description:
        described["description"] = endpoint.description
    if endpoint.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    answers = {200: endpoint.answer} | endpoint.statuses
    return described | {"responses": {str(status): _response(answer) for status, answer in answers.items()}}


def _parameter(parameter: Parameter[Any]) -> dict[str, Any]:
    schema = dict(parameter.values.schema)
    if parameter.default is not None:
        is_number = schema["type"] == "integer"
        schema["default"] = parameter.values.parse(parameter.default) if is_number else parameter.default
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.location,
        "description": parameter.help,
        "schema": schema,
    }
    if parameter.required:
        described["required"] = True
    if parameter.examples:
        described["examples"] = {name: {"value": value} for name, value in parameter.examples.items()}
    return described


def _response(answer: StatusAnswer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.help}
    if answer.headers:
        described["headers"] = {name: HEADERS[name] for name in answer.headers}
    if answer.content_type is not None:
        described["content"] = {answer.content_type: {"schema": _body(answer)}}
    return described


def _body(answer: StatusAnswer) -> dict[str, Any]:
    if answer.body is not None:
        return {"$ref": f"#/components/schemas/{answer.body.__name__}"}
    return answer.schema or TEXT_SCHEMA
