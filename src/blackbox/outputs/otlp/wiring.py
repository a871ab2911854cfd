"""Makes the exporter of the settings."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from blackbox.errors import FailureError, UsageError
from blackbox.hub import Hub
from blackbox.outputs.otlp.endpoint import endpoint, read_headers
from blackbox.settings import Settings

if TYPE_CHECKING:
    from blackbox.outputs.otlp.exporter import OtlpExporter

MISSING = "--otlp needs the messages of OpenTelemetry: pip install 'blackbox-vram[otlp]'"


def make_exporter(settings: Settings, hub: Hub) -> "OtlpExporter":
    """The exporter to `settings.otlp`. Raises `UsageError`, `FailureError`."""
    assert settings.otlp is not None
    if settings.replay is not None:
        raise UsageError("--otlp and --replay exclude each other: what is replayed is over")
    receiver = endpoint(settings.otlp, settings.otlp_ca)
    headers = {} if settings.otlp_headers_file is None else read_headers(settings.otlp_headers_file)
    try:
        from blackbox.outputs.otlp.exporter import OtlpExporter
    except ImportError:
        raise FailureError(MISSING) from None
    return OtlpExporter(
        hub,
        receiver,
        headers,
        version=version("blackbox-vram"),
        port=settings.port,
        interval_seconds=settings.otlp_interval_seconds,
        with_processes=settings.otlp_processes,
    )
