"""The target of a request: its path, and every parameter of its endpoint; made from the table of endpoints."""

from collections.abc import Sequence

from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.parameter import TIME
from blackbox.server.http.query import query_of
from blackbox.server.http.request import HTTPError, split_target

ALLOWED = (HTTPError,)
NOW = 1.8e9
TIMES = ("1800000000", "-15m", "2026-11-22T03:12:07%2B01:00", "2026-11-22")
OTHERS = ("0", "1", "5m", "full", "oom,xid", "GPU-0", "used_bytes")
BY_PATH = {endpoint.path: endpoint for endpoint in ENDPOINTS}


def seeds() -> Sequence[bytes]:
    found = [endpoint.path.encode() for endpoint in ENDPOINTS if not any(one.required for one in endpoint.parameters)]
    for endpoint in ENDPOINTS:
        queried = [one for one in endpoint.parameters if one.location == "query"]
        for number in range(max(len(TIMES), len(OTHERS))):
            given = "&".join(
                f"{one.name}={TIMES[number % len(TIMES)] if one.values is TIME else OTHERS[number % len(OTHERS)]}"
                for one in queried
            )
            target = f"{endpoint.path}?{given}".encode()
            try:
                run(target)
            except HTTPError:
                continue
            found.append(target)
    return found


def run(data: bytes) -> None:
    target = split_target(data)
    endpoint = BY_PATH.get(target.path)
    if endpoint is None:
        raise HTTPError(404, "Not Found")
    query = query_of(endpoint, target.query)
    given = dict(target.query)
    for parameter in endpoint.parameters:
        if parameter.location == "query" and (parameter.name in given or parameter.default is not None):
            if parameter.values is TIME:
                query.time(parameter, NOW)
            else:
                query.value(parameter)
