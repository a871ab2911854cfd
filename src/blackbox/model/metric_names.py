"""How a metric is called elsewhere: in Prometheus' exposition and in OpenTelemetry. Names, units and labels are a
promise to dashboards: add, never rename."""

from typing import Literal

from msgspec import Struct

ExposedKind = Literal["gpu", "mig", "process", "engine"]
"""Whose series `/metrics` has, and the part of their names that says so."""
MetricType = Literal["gauge", "counter"]
"""As Prometheus has them."""
OtelKind = Literal["gpu", "mig", "process"]
"""Whose points are exported."""


class Exposed(Struct, frozen=True, eq=False):
    """How a metric stands in `/metrics`. Names and labels are a promise to dashboards: add, never rename."""

    name: str
    """Behind `blackbox_gpu_`, `blackbox_mig_`, `blackbox_process_` or `blackbox_engine_`, with the unit in its
    last word."""
    of: tuple[ExposedKind, ...] = ("gpu",)
    type: MetricType = "gauge"
    divisor: float = 1.0
    """Turns the metric's unit into the base unit of the name."""
    label: tuple[str, str] | None = None
    """Label and its value, where several metrics share the name; they follow each other in `METRICS`."""
    while_down: bool = False
    """Stays while the device does not answer: it is about the past."""


class Otel(Struct, frozen=True, eq=False):
    """How a metric stands among OpenTelemetry's. Sizes are up-down counters, all else are gauges, as there."""

    name: str
    """By the semantic conventions (`hw.`) where they have one; else of our own (`blackbox.`). MIG instances have names
    of their own, since a sum over both would count memory twice."""
    of: OtelKind = "gpu"
    attribute: tuple[str, str] | None = None
    """Attribute and its value, where several metrics share the name."""
