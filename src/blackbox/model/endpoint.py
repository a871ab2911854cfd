"""What an endpoint of the HTTP interface is: its path, its parameters, and its answers by status."""

from typing import Any

from msgspec import Struct

from blackbox.model.parameter import Parameter


class StatusAnswer(Struct, frozen=True, kw_only=True, eq=False):
    """What an endpoint answers with one status."""

    help: str
    content_type: str | None = "text/plain"
    """None where there is no body."""
    body: type[Struct] | None = None
    """Of a JSON answer."""
    schema: dict[str, Any] | None = None
    """JSON Schema of any other body; None where it is text."""
    head: type[Struct] | None = None
    """Of an answer of packed numbers: the JSON at its start."""
    headers: tuple[str, ...] = ()
    """Header fields that matter to the client."""


class Endpoint(Struct, frozen=True, kw_only=True, eq=False):
    """A path that answers `GET` and `HEAD`. Compared, and hashed, by identity."""

    path: str
    operation: str
    """Its unique name in the published description."""
    summary: str
    description: str = ""
    """What the summary leaves out."""
    parameters: tuple[Parameter[Any], ...] = ()
    answer: StatusAnswer
    """With status 200."""
    statuses: dict[int, StatusAnswer]
    """With other statuses."""
    is_public: bool = False
    """Answered without the token too, since it holds nothing of the machine: the dashboard's own code."""
    accepts_any_parameter: bool = False
    """Ignores parameters that it does not know; otherwise they are refused with 400."""

    @property
    def query_names(self) -> tuple[str, ...]:
        """Names of the parameters in its query."""
        return tuple(parameter.name for parameter in self.parameters if parameter.location == "query")
