"""One export: a POST on a connection of its own, and what came back."""

import gzip
import http.client
import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from blackbox.outputs.otlp.endpoint import Endpoint

CONTENT_TYPE = "application/x-protobuf"
SEND_SECONDS_MAX = 10.0
"""For each step of the exchange; OTLP's own default for all of it."""
ANSWER_BYTES_MAX = 64 * 1024
"""An answer is empty, or one sentence."""
RETRYABLE = frozenset({429, 502, 503, 504})
"""What OTLP/HTTP says is passing."""


class ExportOutcome(NamedTuple):
    """What became of an export."""

    failure: str | None
    """What the receiver did instead of taking it, such as `answered 503`, without any secret; None where it took it."""
    rejected_points: int = 0
    """Points that the receiver did not take though it took the rest."""
    retry_after_seconds: float | None = None
    """What the receiver asks to wait."""


def send(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> ExportOutcome:
    """Sends a request for export, compressed. Raises nothing that a network or a receiver can bring about."""
    said = {"Content-Type": CONTENT_TYPE, "Content-Encoding": "gzip", **headers}
    connection = _connection(endpoint)
    try:
        connection.request("POST", endpoint.path, gzip.compress(body, 1), said)
        answer = connection.getresponse()
        return _outcome(answer, answer.read(ANSWER_BYTES_MAX))
    except ssl.SSLCertVerificationError as error:
        return ExportOutcome(f"has a certificate that is not trusted: {error.verify_message}")
    except ssl.SSLError:
        return ExportOutcome("speaks no TLS that suits")
    except TimeoutError:
        return ExportOutcome(f"did not answer within {SEND_SECONDS_MAX:g} s")
    except socket.gaierror:
        return ExportOutcome("has a name that nobody knows")
    except OSError as error:
        return ExportOutcome(f"could not be reached: {error.strerror or type(error).__name__}")
    except http.client.HTTPException:
        return ExportOutcome("speaks no HTTP")
    finally:
        connection.close()


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    if endpoint.tls is None:
        return http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=SEND_SECONDS_MAX)
    return http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=SEND_SECONDS_MAX, context=endpoint.tls)


def _outcome(answer: http.client.HTTPResponse, body: bytes) -> ExportOutcome:
    if answer.status != 200:
        return ExportOutcome(f"answered {answer.status}", 0, _retry_after(answer))
    if body and answer.headers.get_content_type() != CONTENT_TYPE:
        return ExportOutcome("answered 200, but not as a receiver of OTLP does")
    try:
        told = ExportMetricsServiceResponse.FromString(body)
    except DecodeError:
        return ExportOutcome("answered 200 with what is no answer of OTLP")
    return ExportOutcome(None, max(0, told.partial_success.rejected_data_points))


def _retry_after(answer: http.client.HTTPResponse) -> float | None:
    """In seconds; a date, which nobody sends to collectors' clients, is passed over."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if answer.status in RETRYABLE and text.isascii() and text.isdigit() and len(text) < 7 else None
