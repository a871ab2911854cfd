"""A receiver of OTLP/HTTP: a real socket, and OpenTelemetry's own messages to read what came."""

import gzip
import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

Points = dict[tuple[str, frozenset[tuple[str, Any]]], float]
"""(name, attributes) -> value."""


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what is posted, with what it is told to answer."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {"Content-Type": "application/x-protobuf"}
        self.answer = b""
        self.requests: list[ExportMetricsServiceRequest] = []
        self.said: list[Message] = []
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), _Taking)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def reject(self, points: int) -> None:
        """From now on so many points of every request."""
        answer = ExportMetricsServiceResponse()
        answer.partial_success.rejected_data_points = points
        answer.partial_success.error_message = "too old"
        self.answer = answer.SerializeToString()


class _Taking(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.said.append(self.headers)
        self.server.paths.append(self.path)
        self.server.requests.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that serves until the end of the block."""
    with Receiver() as found:
        if tls is not None:
            found.socket = tls.wrap_socket(found.socket, server_side=True)
        thread = threading.Thread(target=found.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


def points(request: ExportMetricsServiceRequest) -> Points:
    """The points of a request; none may stand twice."""
    found: Points = {}
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in (*metric.sum.data_points, *metric.gauge.data_points):
                    key = metric.name, frozenset((one.key, value_of(one.value)) for one in point.attributes)
                    assert key not in found, f"{key} stands twice"
                    found[key] = getattr(point, point.WhichOneof("value"))
    return found


def resource(request: ExportMetricsServiceRequest) -> dict[str, Any]:
    """Whose numbers they are."""
    (found,) = request.resource_metrics
    return {one.key: value_of(one.value) for one in found.resource.attributes}


def value_of(value: Any) -> Any:
    """Of an attribute."""
    return getattr(value, value.WhichOneof("value"))
