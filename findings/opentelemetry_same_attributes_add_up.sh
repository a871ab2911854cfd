#!/bin/sh
# Two readings with the same attributes are added in OpenTelemetry for used memory, and not for the share that is used.
#
# Expected: where a callback tells two values with the same attributes, the last one counts, or it is an error, as it is
# for a Prometheus page. What happens: it is up to the kind of instrument, without a word. The conventions for hardware
# make `hw.gpu.memory.usage` an up-down-counter, whose values are added, and `hw.gpu.memory.utilization` a gauge, where
# the last one stays. A reader that tells two slices of a MIG GPU under the id of the GPU, or a GPU that two drivers
# list, has twice the memory at a plausible share. With opentelemetry-sdk 1.45.2 and its conventions 0.66b2.
#
# So: a key is made unique before it is told; and usage beyond the limit, beside a share below 1, is this.

. "$(dirname "$0")/evidence.sh"

install opentelemetry-sdk==1.45.2 opentelemetry-semantic-conventions==0.66b2
evidence <<'PYTHON'
from evidence import Evidence


from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.semconv._incubating.metrics import hw_metrics

GIB = 1 << 30
KEY = {"hw.id": "GPU-0"}


def used(_: CallbackOptions) -> list[Observation]:
    return [Observation(60 * GIB, KEY), Observation(60 * GIB, KEY)]


def share(_: CallbackOptions) -> list[Observation]:
    return [Observation(0.75, KEY), Observation(0.75, KEY)]


reader = InMemoryMetricReader()
meter = MeterProvider(metric_readers=[reader]).get_meter("gpu")
meter.create_observable_up_down_counter(hw_metrics.HW_GPU_MEMORY_USAGE, [used], unit="By")
hw_metrics.create_hw_gpu_memory_utilization(meter, [share])
(resource,) = reader.get_metrics_data().resource_metrics
told = {one.name: [point.value for point in one.data.data_points] for one in resource.scope_metrics[0].metrics}

evidence = Evidence()
usage = hw_metrics.create_hw_gpu_memory_usage(MeterProvider().get_meter("gpu"))
evidence.see("instrument of used memory, by the conventions", type(usage).__name__.strip("_"), "UpDownCounter")
evidence.see("GiB used, of twice 60", [value // GIB for value in told["hw.gpu.memory.usage"]], [120])
evidence.see("share that is used", told["hw.gpu.memory.utilization"], [0.75])
evidence.close()
PYTHON
