"""Points by the official names and units, of what was measured and of nothing else."""

import inspect
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.semconv._incubating.attributes import (
    container_attributes,
    host_attributes,
    hw_attributes,
    k8s_attributes,
    process_attributes,
    service_attributes,
)
from opentelemetry.semconv._incubating.metrics import hw_metrics
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.attributes import service_attributes as stable_service_attributes

from blackbox.hub import Published
from blackbox.model.parts import Workload
from blackbox.model.sample import Sample
from blackbox.model.series import METRICS
from blackbox.outputs.devices import Devices, devices_of
from blackbox.outputs.otlp import points as module
from blackbox.outputs.otlp.exporter import resource as resource_of
from blackbox.outputs.otlp.points import UNITS, Seen, request
from tests.moments import GIB, TIMESTAMP, TRAINER, allocator, device, instance, memory, moment, process, sample
from tests.otlp_receiver import points, resource

RESOURCE = resource_of("testhost", "1.0", 6767, simulated=True)
OWN = "blackbox."


def exported(
    *samples: Sample, fresh: bool = True, with_processes: bool = True, xids: dict[str, int] | None = None
) -> ExportMetricsServiceRequest:
    found = devices_of(Published(moment(*samples), 1000), fresh, None)
    seen = Seen(found, TIMESTAMP, TIMESTAMP - 60, {"GPU-0": 2} if xids is None else xids, RESOURCE, "1.0")
    made, count = request(seen, with_processes=with_processes)
    received = ExportMetricsServiceRequest.FromString(made.SerializeToString())
    assert count == len(points(received))
    return received


def value(request: ExportMetricsServiceRequest, name: str, **attributes: Any) -> float | None:
    """Of the one point of the name with these attributes, dots written as double underscores."""
    wanted = {(key.replace("__", "."), told) for key, told in attributes.items()}
    found = [number for (told, has), number in points(request).items() if told == name and wanted <= has]
    assert len(found) <= 1
    return found[0] if found else None


class Meter:
    """Notes what the conventions say of their instruments."""

    def __init__(self) -> None:
        self.declared: dict[str, tuple[str, str]] = {}
        for name, create in inspect.getmembers(hw_metrics, inspect.isfunction):
            if name.startswith("create_hw_"):
                create(self, *([None] if len(inspect.signature(create).parameters) > 1 else []))

    def create_observable_gauge(self, name: str, callbacks: Any, description: str, unit: str) -> None:
        self.declared[name] = "gauge", unit

    def create_up_down_counter(self, name: str, description: str, unit: str) -> None:
        self.declared[name] = "updowncounter", unit

    def create_counter(self, name: str, description: str, unit: str) -> None:
        self.declared[name] = "counter", unit


def test_names_units_and_kinds_are_those_of_the_conventions() -> None:
    declared = Meter().declared
    (told,) = exported().resource_metrics[0].scope_metrics
    used = {metric.name: metric for metric in told.metrics}
    official = {name for name in used if name.startswith("hw.")}
    assert official >= {"hw.gpu.memory.usage", "hw.gpu.memory.limit", "hw.gpu.memory.utilization"}
    assert official >= {"hw.gpu.utilization", "hw.errors", "hw.status", "hw.temperature", "hw.power"}
    for name in official:
        metric = used[name]
        kind = "gauge" if metric.HasField("gauge") else "counter" if metric.sum.is_monotonic else "updowncounter"
        assert (kind, metric.unit) == declared[name]
    assert {name for name in used if name not in official} == {name for name in used if name.startswith(OWN)}


def test_attributes_are_those_of_the_conventions_or_of_our_own() -> None:
    modules = (
        container_attributes,
        error_attributes,
        host_attributes,
        hw_attributes,
        k8s_attributes,
        process_attributes,
        service_attributes,
        stable_service_attributes,
    )
    official = {told for one in modules for key, told in vars(one).items() if key.isupper() and isinstance(told, str)}
    work = Workload(pod_uid="uid", pod="train-0", namespace="ml", slurm_job="7", slurm_step="batch")
    request = exported(sample([device(0)], [process(container="c0ffee", workload=work)]))
    used = {key for _, attributes in points(request) for key, _ in attributes} | set(resource(request))
    assert {key for key in used - official if not key.startswith(OWN)} == set()
    assert {"k8s.pod.uid", "k8s.pod.name", "k8s.namespace.name", "container.id", "blackbox.slurm.job.id"} <= used


def test_numbers_are_those_of_the_driver() -> None:
    request = exported()
    assert value(request, "hw.gpu.memory.limit", hw__id="GPU-0") == 80 * GIB
    assert value(request, "hw.gpu.memory.usage", hw__id="GPU-0") == 20 * GIB
    assert value(request, "hw.gpu.memory.utilization", hw__id="GPU-0") == pytest.approx(0.25)
    assert value(request, "hw.gpu.utilization", hw__id="GPU-0") == pytest.approx(0.37)
    assert value(request, "hw.temperature", hw__id="GPU-0", hw__type="gpu") == 61
    assert value(request, "hw.power", hw__id="GPU-0") == 250.5
    assert value(request, "hw.errors", hw__id="GPU-0", error__type="xid") == 2
    assert value(request, "hw.errors", hw__id="GPU-1") is None
    assert value(request, "hw.status", hw__id="GPU-0", hw__state="ok") == 1
    assert value(request, "hw.status", hw__id="GPU-0", hw__state="failed") == 0
    assert resource(request)["host.name"] == "testhost"
    assert resource(request)["blackbox.simulated"] is True


def test_times_are_those_of_the_reading() -> None:
    (told,) = exported().resource_metrics[0].scope_metrics
    (usage,) = (metric for metric in told.metrics if metric.name == "hw.gpu.memory.usage")
    for point in usage.sum.data_points:
        assert point.time_unix_nano == int(TIMESTAMP * 10**9)
        assert point.start_time_unix_nano == int((TIMESTAMP - 60) * 10**9)


def test_a_slice_counts_under_a_name_of_its_own() -> None:
    request = exported()
    assert value(request, "blackbox.mig.memory.usage", hw__id="MIG-1-1", hw__parent="GPU-1") == GIB
    hardware = {dict(has)["hw.id"] for (name, has) in points(request) if name.startswith("hw.")}
    assert hardware == {"GPU-0", "GPU-1"}


def test_processes_are_asked_for() -> None:
    assert not any(name.startswith("blackbox.process") for name, _ in points(exported(with_processes=False)))
    request = exported()
    assert value(request, "blackbox.process.gpu.memory.usage", process__pid=TRAINER) == 5 * GIB
    assert value(request, "blackbox.process.gpu.memory.reserved", process__pid=TRAINER) == 4 * GIB
    assert value(request, "blackbox.process.gpu.memory.allocated", process__pid=TRAINER) == 3 * GIB
    of_weights = {"process__pid": TRAINER, "blackbox__memory__purpose": "weight"}
    assert value(request, "blackbox.process.gpu.memory.purpose", **of_weights) == 2 * GIB
    assert value(request, "blackbox.process.omitted") == 0


@pytest.mark.edge(7)
def test_the_smallest_of_too_many_processes_are_counted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROCESS_SERIES_MAX", 2)
    request = exported(sample([device(0)], [process(pid, used_bytes=pid * GIB) for pid in (1, 2, 3, 4)]))
    pids = {dict(has).get("process.pid") for name, has in points(request) if name.startswith("blackbox.process.gpu")}
    assert pids == {3, 4}
    assert value(request, "blackbox.process.omitted") == 2


@pytest.mark.edge(7)
def test_no_two_points_of_a_name_have_the_same_attributes() -> None:
    """A receiver adds up what comes twice. Two slices of a GPU, and a pid that two processes had, count once each."""
    twice = [
        process(TRAINER, start_time=1.0),
        process(TRAINER, "GPU-1", start_time=1.0),
        process(TRAINER, start_time=2.0),
    ]
    request = exported(sample([device(0), device(1), instance(0, 1), instance(0, 2)], twice))
    every = [
        (metric.name, frozenset((one.key, str(one.value)) for one in point.attributes))
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in (*metric.gauge.data_points, *metric.sum.data_points)
    ]
    assert len(every) == len(set(every)) > 10


MEASURED = {
    "utilization_percent": "hw.gpu.utilization",
    "temperature_celsius": "hw.temperature",
    "power_watts": "hw.power",
    "memory": "hw.gpu.memory.usage",
}


@given(st.fixed_dictionaries({key: st.booleans() for key in MEASURED}))
@pytest.mark.edge(7)
def test_what_nobody_measured_has_no_point(known: dict[str, bool]) -> None:
    missing = {key: None for key, told in known.items() if not told}
    request = exported(sample([device(0, **missing), device(1)]), with_processes=False)
    for key, name in MEASURED.items():
        assert (value(request, name, hw__id="GPU-0") is not None) == known[key]
        assert value(request, name, hw__id="GPU-1") is not None


@pytest.mark.parametrize(
    ("state", "expected"),
    [("lost", (0, 1)), ("failed", (0, 1)), ("stale", None), ("asleep", None), ("no_access", None)],
)
def test_a_gpu_that_does_not_answer_has_no_readings(state: str, expected: tuple[int, int] | None) -> None:
    request = exported(sample([device(0, state=state), device(1)]), xids={})
    names = {name for name, has in points(request) if dict(has).get("hw.id") == "GPU-0"}
    assert names == ({"hw.status"} if expected else set())
    if expected:
        told = [value(request, "hw.status", hw__id="GPU-0", hw__state=name) for name in ("ok", "failed")]
        assert tuple(told) == expected


def test_a_moment_that_is_stale_says_nothing_of_gpus() -> None:
    request = exported(fresh=False, xids={})
    assert {name for name, _ in points(request)} == {"blackbox.process.omitted"}


@pytest.mark.parametrize("used", [2**63 - 2**30, 2**53 + 1])
@pytest.mark.edge(7)
def test_large_numbers_are_exact(used: int) -> None:
    big = memory(total=used, used=used, driver_reserved=0)
    assert value(exported(sample([device(0, memory=big)])), "hw.gpu.memory.usage") == used


@pytest.mark.parametrize("reading", [math.nan, math.inf, -math.inf, 1e300])
@pytest.mark.edge(7)
def test_a_number_that_no_point_holds_costs_no_other(reading: float) -> None:
    request = exported(sample([device(0, power_watts=reading)]))
    assert value(request, "hw.power") is None
    assert value(request, "hw.temperature") == 61


@given(st.text(st.characters(), max_size=20))
def test_no_name_of_a_program_loses_the_request(name: str) -> None:
    request = exported(sample([device(0)], [process(name=name + "\udcff", used_bytes=GIB)]))
    assert value(request, "blackbox.process.gpu.memory.usage") == GIB


def test_a_program_that_tells_nothing_has_its_used_bytes_alone() -> None:
    request = exported(sample([device(0)], [process(1, used_bytes=GIB)]))
    names = {name for name, has in points(request) if ("process.pid", 1) in has}
    assert names == {"blackbox.process.gpu.memory.usage"}
    reports = sample([device(0)], [process(TRAINER, used_bytes=5 * GIB)], allocators=(allocator(),))
    assert value(exported(reports), "blackbox.process.gpu.memory.reserved") == 4 * GIB


def test_every_unit_has_a_name_in_opentelemetry() -> None:
    assert {metric.unit for metric in METRICS} <= set(UNITS)


def test_a_machine_without_gpus_has_no_points_of_any() -> None:
    seen = Seen(Devices((), ()), TIMESTAMP, TIMESTAMP, {"GPU-9": 1}, RESOURCE, "1.0")
    assert request(seen, with_processes=False)[1] == 0


def test_slices_have_no_errors_of_their_own() -> None:
    request = exported(sample([device(0), instance(0, 1)]), xids={"GPU-0": 0})
    assert value(request, "hw.errors") == 0
