"""The exposition: true, absent where unknown, gone when stale, and clean in the eyes of Prometheus' own tool."""

import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from blackbox.events.counts import EventCounts
from blackbox.hub import Hub, Published
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.parts import Workload
from blackbox.model.sample import Sample
from blackbox.model.snapshot import Xid
from blackbox.model.status import FleetStatus, NotifyStatus, OtlpStatus, RecorderState, RecorderStatus, ServerStats
from blackbox.outputs.prometheus import gpus as gpus_module
from blackbox.outputs.prometheus.exporter import GPU_FAMILIES, PROCESS_FAMILIES, SERVER_FAMILIES, PrometheusExporter
from blackbox.outputs.prometheus.self_metrics import Build
from blackbox.sources.agents.refusals import Refusals
from tests.clocks import ManualClock
from tests.moments import (
    GIB,
    MIB,
    NOW,
    SERVER,
    SILENT,
    TIMESTAMP,
    TRAINER,
    allocator,
    device,
    machine,
    moment,
    process,
    sample,
    status,
)
from tests.tools import tool
from tests.waiting import PATIENCE_SECONDS

RECORDER_SERIES = {
    "up": 1,
    "disk_bytes": 10 * MIB,
    "disk_limit_bytes": 2 * GIB,
    "moments_total": 100,
    "events_total": 7,
    "dropped_total": 3,
    "failures_total": 2,
    "damaged_total": 1,
    "dumps": 4,
}
Labels = frozenset[tuple[str, str]]


class Scraped:
    """An exposition as Prometheus reads it."""

    def __init__(self, text: bytes) -> None:
        families = list(text_string_to_metric_families(text.decode()))
        self.series = {
            (series.name, frozenset(series.labels.items())): series.value
            for family in families
            for series in family.samples
        }
        assert len(self.series) == sum(len(family.samples) for family in families), "a series stands twice"
        self.names = {name for name, _ in self.series}

    def __call__(self, name: str, /, **labels: str) -> float | None:
        return self.series.get((f"blackbox_{name}", frozenset(labels.items())))

    def count(self, name: str) -> int:
        return sum(series == f"blackbox_{name}" for series, _ in self.series)


def http_stats() -> ServerStats:
    return ServerStats(
        requests_total=Counter({("/vram", 200): 3, ("/vram", 404): 1}),
        connections_open=2,
        streams_open=1,
        frames_sent_total=100,
        frames_missed_total=5,
    )


def recorder_status(state: RecorderState = "recording") -> RecorderStatus:
    return RecorderStatus(
        state=state,
        reason=None,
        directory="/var/lib/blackbox",
        bytes=10 * MIB,
        limit_bytes=2 * GIB,
        moments_total=100,
        events_total=7,
        dropped_total=3,
        failures_total=2,
        damaged_total=1,
        dumps=4,
        dumps_evicted={"oom": {"kind_dumps": 2}, "xid": {"owner_dumps": 1, "kind_dumps": 3}},
    )


def notify_status() -> NotifyStatus:
    return NotifyStatus(
        services=("json #1",),
        sent_total=5,
        failures_total=4,
        folded_total=3,
        dropped_total=2,
        waiting=1,
        last_failure="json #1: answered 500",
    )


def otlp_status() -> OtlpStatus:
    return OtlpStatus(
        endpoint="http://localhost:4318/v1/metrics",
        exports_total=6,
        failures_total=5,
        points_total=4,
        rejected_total=3,
        bytes_total=2,
        cpu_seconds=0.5,
        last_failure="answered 503",
    )


def fleet_status() -> FleetStatus:
    return FleetStatus(
        url="http://localhost:8123",
        state="shipping",
        reason=None,
        machine="00c0ffee",
        shipped_until=TIMESTAMP,
        lag_seconds=9.0,
        rows_total=8,
        batches_total=7,
        bytes_total=6,
        failures_total=5,
        set_aside_total=4,
        gaps_total=3,
        cpu_seconds=0.5,
    )


def exporter(
    hub: Hub,
    clock: ManualClock | None = None,
    process_metrics: bool = False,
    recorder: Callable[[], RecorderStatus] | None = recorder_status,
) -> PrometheusExporter:
    build = Build("0.1.0", "3.11")
    return PrometheusExporter(
        hub,
        http_stats(),
        build,
        clock or ManualClock(NOW),
        process_metrics,
        recorder,
        EventCounts().by_kind,
        notify_status,
        otlp_status,
        fleet_status,
    )


def test_notifications_are_counted() -> None:
    told = Scraped(exporter(Hub(ManualClock(NOW))).exposition())
    names = ("sent_total", "failures_total", "folded_total", "dropped_total", "waiting")
    assert [told(f"notify_{name}") for name in names] == [5, 4, 3, 2, 1]


def test_exports_are_counted() -> None:
    told = Scraped(exporter(Hub(ManualClock(NOW))).exposition())
    names = ("exports", "failures", "points", "rejected_points", "sent_bytes", "cpu_seconds")
    assert [told(f"otlp_{name}_total") for name in names] == [6, 5, 4, 3, 2, 0.5]


def test_shipping_is_counted() -> None:
    told = Scraped(exporter(Hub(ManualClock(NOW))).exposition())
    names = ("up", "lag_seconds", "rows_total", "batches_total", "sent_bytes_total", "errors_total", "set_aside_total")
    assert [told(f"fleet_{name}") for name in names] == [1, 9, 8, 7, 6, 5, 4]
    assert (told("fleet_gaps"), told("fleet_cpu_seconds_total")) == (3, 0.5)


def test_the_recorder_tells_how_it_goes() -> None:
    told = Scraped(exporter(Hub(ManualClock(NOW))).exposition())
    assert {name: told(f"recorder_{name}") for name in RECORDER_SERIES} == RECORDER_SERIES
    paused = Scraped(exporter(Hub(ManualClock(NOW)), recorder=lambda: recorder_status("paused")).exposition())
    assert paused("recorder_up") == 0


def test_dumps_deleted_are_counted_by_kind_and_reason() -> None:
    told = Scraped(exporter(Hub(ManualClock(NOW))).exposition())
    assert told("recorder_dumps_evicted_total", kind="oom", reason="kind_dumps") == 2
    assert told("recorder_dumps_evicted_total", kind="xid", reason="owner_dumps") == 1


def test_where_nothing_is_recorded_there_are_no_series_of_a_recorder() -> None:
    silent = Scraped(exporter(Hub(ManualClock(NOW)), recorder=None).exposition())
    assert not [name for name in silent.names if "recorder" in name]


def scrape(*moments: Moment, process_metrics: bool = False) -> Scraped:
    hub = Hub(ManualClock(NOW))
    exporting = exporter(hub, process_metrics=process_metrics)
    for each in moments:
        hub.publish(each)
    return Scraped(exporting.exposition())


def test_the_ledger_of_each_gpu_is_exported_in_bytes() -> None:
    seen = scrape(moment(sample([device(0), device(1)], [process(TRAINER)], allocators=[allocator()])))
    assert seen("gpu_memory_total_bytes", uuid="GPU-0") == 80 * GIB
    assert seen("gpu_memory_used_bytes", uuid="GPU-0") == 20 * GIB
    assert seen("gpu_memory_free_bytes", uuid="GPU-0") == 60 * GIB - 512 * MIB
    assert seen("gpu_memory_driver_reserved_bytes", uuid="GPU-0") == 512 * MIB
    assert seen("gpu_memory_reserved_bytes", uuid="GPU-0") == 4 * GIB
    assert seen("gpu_memory_unattributed_bytes", uuid="GPU-0") == 14 * GIB
    assert seen("gpu_memory_unattributed_bytes", uuid="GPU-1") == 20 * GIB


def test_sensors_are_in_base_units() -> None:
    seen = scrape(moment())
    assert seen("gpu_utilization_ratio", uuid="GPU-0") == 0.37
    assert seen("gpu_temperature_celsius", uuid="GPU-0") == 61
    assert seen("gpu_power_watts", uuid="GPU-0") == 250.5


def test_gpus_alone_add_up_to_the_machine_and_mig_instances_have_names_of_their_own() -> None:
    seen = scrape(moment())
    assert seen.count("gpu_memory_used_bytes") == 2
    assert seen.count("mig_memory_used_bytes") == 2
    assert seen("mig_memory_used_bytes", uuid="MIG-1-1") == GIB
    assert seen("mig_memory_unattributed_bytes", uuid="MIG-1-1") == 0
    assert seen("mig_memory_unattributed_bytes", uuid="MIG-1-2") == GIB
    facts = {
        "uuid": "MIG-1-2",
        "parent_uuid": "GPU-1",
        "gpu_instance_id": "2",
        "compute_instance_id": "0",
        "profile": "1g.10gb",
        "name": "Test GPU 80GB MIG 1g.10gb",
    }
    assert seen("mig_info", **facts) == 1


def test_static_facts_stand_on_one_series_and_nowhere_else() -> None:
    seen = scrape(moment())
    assert seen("gpu_info", uuid="GPU-1", index="1", name="Test GPU 80GB") == 1
    assert not [name for name, labels in seen.series if "name" in dict(labels) and not name.endswith("_info")]


def test_the_insides_are_exported_per_gpu_when_every_process_reports() -> None:
    seen = scrape(moment(sample([device(0)], [process(TRAINER, used_bytes=4 * GIB)], allocators=[allocator()])))
    assert seen("gpu_blocks", uuid="GPU-0", state="active") == 2
    assert seen("gpu_blocks", uuid="GPU-0", state="free") == 1
    assert seen("gpu_atomic_allocations_bytes", uuid="GPU-0") == 3 * GIB
    assert seen("gpu_fragmentation_ratio", uuid="GPU-0") == 0.25
    assert seen("gpu_cached_ratio", uuid="GPU-0") == 0.25
    assert seen("gpu_largest_free_bytes", uuid="GPU-0") == GIB


def test_what_a_silent_process_hides_is_absent_not_zero() -> None:
    seen = scrape(moment(sample([device(0)], [process(SILENT)])))
    for name in ("gpu_memory_reserved_bytes", "gpu_fragmentation_ratio", "gpu_atomic_allocations_bytes", "gpu_blocks"):
        assert seen.count(name) == 0, name
    assert seen("gpu_processes", uuid="GPU-0") == 1


def test_a_silent_process_hides_the_reserved_bytes_of_its_instance_and_parent_only() -> None:
    seen = scrape(moment())
    assert seen("mig_memory_reserved_bytes", uuid="MIG-1-1") is None
    assert seen("mig_memory_reserved_bytes", uuid="MIG-1-2") == 0
    assert seen("gpu_memory_reserved_bytes", uuid="GPU-1") is None


def test_an_unlisted_process_list_leaves_the_count_and_the_remainder_out() -> None:
    seen = scrape(moment(sample([device(0, unknown={"processes": "no permission"})])))
    assert seen("gpu_processes", uuid="GPU-0") is None
    assert seen("gpu_memory_unattributed_bytes", uuid="GPU-0") is None
    assert seen("gpu_memory_used_bytes", uuid="GPU-0") == 20 * GIB


def test_an_unmeasured_sensor_is_absent() -> None:
    seen = scrape(moment(sample([device(0, temperature_celsius=None)])))
    assert seen("gpu_temperature_celsius", uuid="GPU-0") is None
    assert seen("gpu_power_watts", uuid="GPU-0") == 250.5


def test_unmeasured_memory_leaves_the_ledger_out_and_the_sensors_in() -> None:
    seen = scrape(moment(sample([device(0, memory=None, unknown={"memory": "not supported"})])))
    assert {name for name in seen.names if name.startswith("blackbox_gpu_memory")} == {
        "blackbox_gpu_memory_reserved_bytes"
    }
    assert seen("gpu_temperature_celsius", uuid="GPU-0") == 61


READINGS = {
    family.name
    for family in (*GPU_FAMILIES, *PROCESS_FAMILIES)
    if not family.name.endswith(("_info", "_up", "_last_seen_timestamp_seconds", "_omitted"))
    and "_xid_" not in family.name
}


@pytest.mark.parametrize(
    "gone",
    [
        device(0, state="lost", reason="Xid 79", memory=None),
        device(0, state="lost", reason="Xid 79"),
        device(0, taken_at=NOW - 10),
    ],
    ids=["lost", "lost with old figures", "stale"],
)
def test_the_readings_of_a_gpu_that_does_not_answer_vanish_and_the_others_stay(gone: Any) -> None:
    processes = [process(SILENT, "GPU-0"), process(SILENT, "GPU-1")]
    seen = scrape(moment(sample([gone, device(1)], processes)), process_metrics=True)
    left = {name for name, labels in seen.series if ("uuid", "GPU-0") in labels}
    assert not left & READINGS
    assert seen("gpu_up", uuid="GPU-0") == 0
    assert seen("gpu_info", uuid="GPU-0", index="0", name="Test GPU 80GB") == 1
    assert seen("gpu_up", uuid="GPU-1") == 1
    assert seen("gpu_memory_used_bytes", uuid="GPU-1") == 20 * GIB
    assert seen("process_memory_used_bytes", uuid="GPU-1", pid=str(SILENT)) == 6 * GIB


def test_the_last_time_a_lost_gpu_was_seen_is_told() -> None:
    seen = scrape(moment(sample([device(0, state="lost", taken_at=NOW - 30)])))
    assert seen("gpu_last_seen_timestamp_seconds", uuid="GPU-0") == TIMESTAMP - 30


def test_when_samples_stop_coming_all_readings_vanish_between_two_scrapes() -> None:
    clock = ManualClock(NOW)
    hub = Hub(clock)
    exporting = exporter(hub, clock)
    hub.publish(moment())
    assert Scraped(exporting.exposition())("gpu_memory_used_bytes", uuid="GPU-0") == 20 * GIB
    clock.now += 60
    seen = Scraped(exporting.exposition())
    assert not seen.names & READINGS
    assert seen("gpu_up", uuid="GPU-0") == 0
    assert seen("source_up", source="nvml") == 0
    assert seen("source_age_seconds", source="nvml") == 60.25
    assert seen("last_sample_timestamp_seconds") == TIMESTAMP


def test_before_the_first_sample_there_is_only_blackbox_itself() -> None:
    seen = Scraped(exporter(Hub(ManualClock(NOW))).exposition())
    assert seen("build_info", version="0.1.0", python_version="3.11") == 1
    assert seen.count("gpu_up") == 0
    assert seen.count("source_up") == 0


def test_the_text_of_the_readings_is_made_once_per_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real_snapshot = Published.snapshot

    def counting(published: Published, shape: Any) -> Any:
        made.append(published.moment.seq)
        return real_snapshot(published, shape)

    monkeypatch.setattr(Published, "snapshot", counting)
    hub = Hub(ManualClock(NOW))
    exporting = exporter(hub)
    hub.publish(moment(sample([device(0)]), seq=1))
    first, second = exporting.exposition(), exporting.exposition()
    assert made == [1]
    assert b"blackbox_gpu_up" in first
    assert b"blackbox_gpu_up" in second
    hub.publish(moment(sample([device(0)]), seq=2))
    exporting.exposition()
    assert made == [1, 2]


def test_engines_have_series_of_their_pages_and_requests() -> None:
    seen = scrape(moment())
    labels = {"engine": "vllm", "pid": str(SERVER)}
    assert seen("engine_kv_pages", **labels) == 3
    assert seen("engine_kv_pages_used", **labels) == 1
    assert seen("engine_requests_running", **labels) == 1
    assert seen("engine_preemptions_total", **labels) == 0
    assert seen("engine_info", model="test-model", **labels) == 1


def test_what_memory_is_for_stands_beside_each_process() -> None:
    seen = scrape(moment(), process_metrics=True)
    for purpose, size in (("weight", 2 * GIB), ("cached", GIB), ("gradient", 0)):
        assert seen("process_memory_purpose_bytes", uuid="GPU-0", pid=str(TRAINER), purpose=purpose) == size
    assert seen("process_memory_purpose_bytes", uuid="GPU-0", pid=str(SILENT), purpose="weight") is None


@pytest.mark.edge(8)
def test_events_are_counted_by_kind() -> None:
    hub = Hub(ManualClock(NOW))
    counting = PrometheusExporter(
        hub, ServerStats(), Build("0", "3"), ManualClock(NOW), events=lambda: {"oom": 2, "xid": 0}
    )
    seen = Scraped(counting.exposition())
    assert (seen("events_total", kind="oom"), seen("events_total", kind="xid")) == (2, 0)


def test_series_per_process_are_asked_for() -> None:
    assert scrape(moment()).count("process_info") == 0
    seen = scrape(moment(), process_metrics=True)
    assert seen("process_memory_used_bytes", uuid="GPU-0", pid=str(TRAINER)) == 5 * GIB
    assert seen("process_memory_reserved_bytes", uuid="GPU-0", pid=str(TRAINER)) == 4 * GIB
    assert seen("process_memory_allocated_bytes", uuid="GPU-0", pid=str(TRAINER)) == 3 * GIB
    assert seen("process_start_time_seconds", uuid="GPU-0", pid=str(TRAINER)) == TIMESTAMP - 3600
    facts = {"name": "python", "user": "someone", "container": "", "kind": "compute"}
    assert seen("process_info", uuid="MIG-1-1", pid=str(SILENT), **facts) == 1
    assert seen("process_series_omitted") == 0


def test_pods_and_jobs_have_one_series_for_each_process_and_change_no_other() -> None:
    in_pod = Workload(pod_uid="u-1", namespace="ml", pod="train-0", runtime="containerd")
    rows = [
        process(SILENT, workload=in_pod),
        process(TRAINER, workload=Workload(slurm_job="7", slurm_step="batch")),
        process(SERVER, workload=Workload(runtime="docker")),
    ]
    seen = scrape(moment(sample([device(0)], rows)), process_metrics=True)
    none = dict.fromkeys(("namespace", "pod", "pod_uid", "slurm_job", "slurm_step"), "")
    pod = none | {"namespace": "ml", "pod": "train-0", "pod_uid": "u-1"}
    assert seen("process_workload_info", uuid="GPU-0", pid=str(SILENT), **pod) == 1
    job = none | {"slurm_job": "7", "slurm_step": "batch"}
    assert seen("process_workload_info", uuid="GPU-0", pid=str(TRAINER), **job) == 1
    assert seen.count("process_workload_info") == 2
    assert seen.count("process_memory_used_bytes") == len(rows)
    assert scrape(moment(sample([device(0)], rows))).count("process_workload_info") == 0


def test_a_process_whose_memory_nobody_knows_has_no_memory_series() -> None:
    nameless = process(SILENT, used_bytes=None, unknown={"used_bytes": "not supported"})
    seen = scrape(moment(sample([device(0)], [nameless])), process_metrics=True)
    assert seen("process_memory_used_bytes", uuid="GPU-0", pid=str(SILENT)) is None
    assert seen("process_memory_reserved_bytes", uuid="GPU-0", pid=str(SILENT)) is None
    assert seen.count("process_info") == 1


def test_the_series_of_a_process_go_with_it() -> None:
    before = sample([device(0)], [process(TRAINER), process(SILENT)])
    after = sample([device(0)], [process(TRAINER)], taken_at=NOW + 1)
    seen = scrape(moment(before), moment(after, seq=2), process_metrics=True)
    assert seen.count("process_memory_used_bytes") == 1
    assert seen("process_memory_used_bytes", uuid="GPU-0", pid=str(SILENT)) is None


def test_series_per_process_are_capped_at_the_largest_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus_module, "PROCESS_SERIES_MAX", 2)
    rows = [process(pid, used_bytes=pid * MIB) for pid in range(1, 6)]
    seen = scrape(moment(sample([device(0)], rows)), process_metrics=True)
    assert {dict(labels)["pid"] for name, labels in seen.series if name == "blackbox_process_memory_used_bytes"} == {
        "4",
        "5",
    }
    assert seen("process_series_omitted") == 3


def xid_sample(taken_at: float, *codes: int) -> Sample:
    events = tuple(
        Event(kind="xid", timestamp=TIMESTAMP, message=f"Xid {code}", gpu_uuid="GPU-0", code=code) for code in codes
    )
    return sample([device(0)], taken_at=taken_at, events=events)


def test_xids_are_counted_from_zero_over_all_moments() -> None:
    quiet, two, one = xid_sample(NOW), xid_sample(NOW + 1, 79, 31), xid_sample(NOW + 2, 31)
    assert scrape(moment(quiet))("gpu_xid_errors_total", uuid="GPU-0") == 0
    seen = scrape(moment(quiet), moment(two, seq=2), moment(one, seq=3))
    assert seen("gpu_xid_errors_total", uuid="GPU-0") == 3


def test_the_count_of_xids_outlives_the_gpu() -> None:
    seen = scrape(moment(xid_sample(NOW, 79)), moment(sample([], taken_at=NOW + 1), seq=2))
    assert seen("gpu_xid_errors_total", uuid="GPU-0") == 1
    assert seen.count("gpu_info") == 0


def test_the_last_xid_is_told_with_its_time() -> None:
    seen = scrape(moment(sample([device(0), device(1)]), xids={"GPU-0": Xid(code=79, timestamp=TIMESTAMP - 5)}))
    assert seen("gpu_xid_last_code", uuid="GPU-0") == 79
    assert seen("gpu_xid_last_timestamp_seconds", uuid="GPU-0") == TIMESTAMP - 5
    assert seen("gpu_xid_last_code", uuid="GPU-1") is None


def test_xids_nobody_can_see_are_not_counted_as_none() -> None:
    seen = scrape(moment(sample([device(0)], facts={"events": "not supported"})))
    assert seen("gpu_xid_errors_total", uuid="GPU-0") is None


def test_each_source_tells_its_health_and_cost() -> None:
    failed = status(name="pytorch", state="failed", age_seconds=None, duration_seconds=None, cost={}, facts={})
    seen = scrape(moment(sources=(status(), failed)))
    assert seen("source_up", source="nvml") == 1
    assert seen("source_last_success_timestamp_seconds", source="nvml") == TIMESTAMP - 0.25
    assert seen("source_age_seconds", source="nvml") == 0.25
    assert seen("source_duration_seconds", source="nvml") == 0.002
    assert seen("source_samples_total", source="nvml") == 7
    assert seen("source_failures_total", source="nvml") == 1
    assert seen("source_restarts_total", source="nvml") == 2
    assert seen("source_driver_calls_total", source="nvml") == 420
    assert seen("source_cpu_seconds_total", source="nvml") == 0.5
    assert seen("source_up", source="pytorch") == 0
    assert seen("source_age_seconds", source="pytorch") is None
    assert seen("source_driver_calls_total", source="pytorch") is None


def test_the_server_tells_what_it_costs_and_whom_it_serves() -> None:
    seen = scrape(moment())
    assert seen("http_requests_total", route="/vram", status="404") == 1
    assert seen("streams_open") == 1
    assert seen("stream_events_missed_total") == 5
    assert seen("simulated") == 0
    assert seen.series["process_resident_memory_bytes", frozenset()] > MIB
    assert ("process_cpu_seconds_total", frozenset()) in seen.series


def test_a_simulated_machine_says_so() -> None:
    assert scrape(moment(sample([device(0)], simulated=True)))("simulated") == 1


@pytest.mark.parametrize("process_metrics", [False, True])
def test_promtool_finds_nothing_to_complain_about(process_metrics: bool) -> None:
    promtool = tool("promtool", "prometheus")
    hub = Hub(ManualClock(NOW))
    exporting = exporter(hub, process_metrics=process_metrics)
    whole = machine()
    reporting = sample(
        whole.devices,
        [process(TRAINER, workload=Workload(slurm_job="7"))],
        allocators=[allocator()],
        events=xid_sample(NOW, 79).events,
    )
    agents = status(name="agents", cost=Refusals().cost())
    hub.publish(moment(reporting, sources=(status(), agents), xids={"GPU-0": Xid(code=79, timestamp=TIMESTAMP)}))
    text = exporting.exposition()
    families = (*GPU_FAMILIES, *SERVER_FAMILIES, *(PROCESS_FAMILIES if process_metrics else ()))
    absent = {family.name for family in families if f"\n{family.name}".encode() not in b"\n" + text}
    assert not absent
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
