"""The thread that exports: each moment once, later where it is not taken, and never in anybody's way."""

import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from blackbox.hub import Hub
from blackbox.model.event import Event
from blackbox.outputs.otlp import exporter as module
from blackbox.outputs.otlp.endpoint import Endpoint, endpoint
from blackbox.outputs.otlp.exporter import OtlpExporter, resource
from blackbox.outputs.otlp.sender import ExportOutcome
from tests.clocks import ManualClock
from tests.moments import NOW, TIMESTAMP, device, moment, sample
from tests.otlp_receiver import points
from tests.waiting import until

INTERVAL = 60.0


class Rig:
    """An exporter whose requests are kept, with what it is told of them."""

    def __init__(self, interval_seconds: float = INTERVAL, **changes: Any) -> None:
        self.clock = ManualClock(NOW)
        self.hub = Hub(self.clock)
        self.outcome: ExportOutcome | Exception = ExportOutcome(None)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.sent: list[ExportMetricsServiceRequest] = []
        self.tried = 0
        self.exporter = OtlpExporter(
            self.hub,
            endpoint("http://localhost:4318", None),
            {"A": "b"},
            version="1.0",
            port=6767,
            interval_seconds=interval_seconds,
            send=self.send,
            clock=self.clock,
            **changes,
        )

    def send(self, _: Endpoint, headers: Mapping[str, str], body: bytes) -> ExportOutcome:
        assert headers == {"A": "b"}
        self.tried += 1
        self.may_answer.wait()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome.failure is None:
            self.sent.append(ExportMetricsServiceRequest.FromString(body))
        return self.outcome

    def publish(self, seq: int = 1, **changes: Any) -> None:
        self.hub.publish(moment(sample([device(0)], **changes), seq=seq))


def test_a_moment_is_exported_once() -> None:
    rig = Rig()
    assert rig.exporter._export() == module.FIRST_SECONDS  # nothing there yet
    rig.publish(1)
    assert rig.exporter._export() == INTERVAL
    assert rig.exporter._export() == INTERVAL
    assert len(rig.sent) == 1
    rig.publish(2)
    rig.exporter._export()
    assert len(rig.sent) == 2
    status = rig.exporter.status()
    assert status.exports_total == 2
    assert status.points_total == sum(len(points(one)) for one in rig.sent)
    assert status.bytes_total == sum(one.ByteSize() for one in rig.sent)
    assert (status.endpoint, status.last_failure) == ("http://localhost:4318/v1/metrics", None)


def test_what_is_stale_is_not_exported() -> None:
    rig = Rig()
    rig.publish()
    rig.clock.advance(3600)
    assert rig.exporter._export() == INTERVAL
    assert rig.tried == 0


def test_a_receiver_that_fails_is_asked_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.random, "uniform", lambda low, _: low)
    rig = Rig()
    rig.publish()
    rig.outcome = ExportOutcome("answered 503")
    assert [rig.exporter._export() for _ in range(5)] == [60, 120, 240, 300, 300]
    assert rig.exporter.status().failures_total == 5
    assert rig.exporter.status().last_failure == "answered 503"
    rig.outcome = ExportOutcome(None)
    assert rig.exporter._export() == INTERVAL  # the same moment: it was not taken yet
    assert len(rig.sent) == 1
    rig.outcome = ExportOutcome("answered 503")
    rig.publish(2)
    assert rig.exporter._export() == 60


def test_delays_vary_and_a_receiver_may_ask_for_more() -> None:
    rig = Rig()
    rig.publish()
    rig.outcome = ExportOutcome("answered 429", 0, 1000.0)
    delays = {rig.exporter._export() for _ in range(5)}
    assert len(delays) > 1
    assert all(1000 <= delay <= 1200 for delay in delays)
    rig.outcome = ExportOutcome("answered 429", 0, 1e6)
    assert rig.exporter._export() <= module.RETRY_AFTER_SECONDS_MAX * 1.2


def test_a_failure_is_logged_when_it_is_a_new_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    rig = Rig()
    rig.publish()
    for failure in ("answered 503", "answered 503", "answered 401", None):
        rig.outcome = ExportOutcome(failure)
        rig.exporter._export()
    said = [record.getMessage().rpartition("/v1/metrics")[2] for record in caplog.records]
    assert said == [": it answered 503", ": it answered 401", " takes metrics again"]


def test_points_that_were_rejected_are_not_counted_as_taken() -> None:
    rig = Rig()
    rig.publish()
    rig.outcome = ExportOutcome(None, 3)
    rig.exporter._export()
    status = rig.exporter.status()
    assert status.rejected_total == 3
    assert status.points_total == len(points(rig.sent[0])) - 3


def test_a_fault_of_ours_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(interval_seconds=0.01)
    rig.publish()
    rig.outcome = ValueError("a name of a user")
    rig.exporter.start()
    until(lambda: rig.tried > 1)
    rig.outcome = ExportOutcome(None)
    until(lambda: rig.sent)
    rig.exporter.close(30.0)
    assert "fault in the export by OTLP: ValueError" in caplog.text
    assert "a name of a user" not in caplog.text
    assert rig.exporter.status().cpu_seconds > 0


def test_errors_are_counted_from_the_start() -> None:
    rig = Rig(interval_seconds=0.01)
    rig.exporter.start()
    xid = Event(kind="xid", timestamp=TIMESTAMP, message="Xid 79", gpu_uuid="GPU-0")
    rig.publish(1)
    rig.publish(2, events=(xid,))
    rig.publish(3)

    def last() -> list[float]:
        return [told for (name, _), told in points(rig.sent[-1]).items() if name == "hw.errors"]

    until(lambda: rig.sent and last() == [1])
    rig.exporter.close(30.0)


@pytest.mark.edge(7)
def test_closing_does_not_wait_for_a_receiver_that_hangs() -> None:
    rig = Rig()
    rig.may_answer.clear()
    rig.publish()
    rig.exporter.start()
    until(lambda: rig.tried)
    rig.exporter.close(0.0)
    assert rig.exporter._thread.is_alive()
    rig.may_answer.set()
    rig.exporter._thread.join(30.0)
    assert not rig.exporter._thread.is_alive()


def test_an_exporter_that_never_began_can_be_closed() -> None:
    Rig().exporter.close(0.0)


def test_a_server_keeps_its_id_and_two_on_a_machine_have_two(tmp_path: Path) -> None:
    known = tmp_path / "machine-id"
    known.write_text("0123456789abcdef0123456789abcdef\n")

    def instance(port: int, path: Path = known) -> Any:
        return resource("host", "1.0", port, simulated=False, machine_id=path)["service.instance.id"]

    assert instance(6767) == instance(6767)
    assert instance(6767) != instance(6768)
    assert instance(6767, tmp_path / "missing") == instance(6767, tmp_path / "missing")
    assert "0123456789abcdef" not in instance(6767).replace("-", "")
    assert uuid.UUID(instance(6767)).version == 5
    assert resource("host", "1.0", 1, simulated=False)["blackbox.simulated"] is None
