#!/bin/sh
# Two metrics of OpenTelemetry may be one series twice on its Prometheus page, with different values.
#
# Expected: names that differ differ on the page, or the exporter merges or refuses what would not. What happens: points
# and slashes become underscores, and the unit is added unless the name has it, so `gpu.memory` and `gpu/memory` are one
# family with the same series twice, and `gpu.memory_bytes` beside them another of that name. Of two attributes whose
# names meet, `hw.id` and `hw_id`, the last one stays. A unit of `%` becomes `_percent`, and one of `1` nothing, though
# the specification has `_ratio` for a gauge. With opentelemetry-exporter-prometheus 0.66b2 and opentelemetry-sdk 1.45.2.
#
# So: names are compared as they are on the page, not as they are in the program.

. "$(dirname "$0")/evidence.sh"

install opentelemetry-exporter-prometheus==0.66b2 opentelemetry-sdk==1.45.2 prometheus-client==0.26.0
evidence <<'PYTHON'
from evidence import Evidence


from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest

meter = MeterProvider([PrometheusMetricReader()]).get_meter("gpu")
meter.create_gauge("gpu.memory", "By").set(1)
meter.create_gauge("gpu/memory", "By").set(2)
meter.create_gauge("gpu.memory_bytes", "By").set(3)
meter.create_gauge("gpu.busy", "%").set(50)
meter.create_gauge("gpu.share", "1").set(0.5)
meter.create_gauge("gpu.power", "W").set(40, {"hw.id": "GPU-0", "hw_id": "0"})
page = [line for line in generate_latest(REGISTRY).decode().splitlines() if "gpu_" in line]


def series(start: str) -> list[str]:
    """Name and value of its samples."""
    return [f"{line.partition('{')[0]} {line.rpartition(' ')[2]}" for line in page if line.startswith(start)]


evidence = Evidence()
evidence.see("samples of gpu_memory_bytes", sorted(series("gpu_memory")), ["gpu_memory_bytes 1.0", "gpu_memory_bytes 2.0", "gpu_memory_bytes 3.0"])
evidence.see("times its type is told", page.count("# TYPE gpu_memory_bytes gauge"), 2)
evidence.see("different series among them", len({line.rpartition(" ")[0] for line in page if line.startswith("gpu_memory")}), 1)
evidence.see("units % and 1", series("gpu_busy") + series("gpu_share"), ["gpu_busy_percent 50.0", "gpu_share 0.5"])
(power,) = [line for line in page if line.startswith("gpu_power")]
evidence.see("hw.id and hw_id", ('hw_id="0"' in power, "GPU-0" in power), (True, False))
evidence.close()
PYTHON
