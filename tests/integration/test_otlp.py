"""`serve --otlp` sends to a real socket what OpenTelemetry's own messages can read, and keeps every secret."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.client import Client
from tests.otlp_receiver import Receiver, points, receiving, resource
from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import PATIENCE_SECONDS, until

SECRET = "hunter2hunter2"
DEMO = ("--demo", "--no-record", "--interval", "100ms", "--otlp-interval", "100ms")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def asked(server: RunningServer, path: str) -> bytes:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=PATIENCE_SECONDS) as answer:
        return answer.read()


def metric(server: RunningServer, name: str) -> float | None:
    lines = asked(server, "/metrics").decode().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)


def test_the_machine_arrives(receiver: Receiver, tmp_path: Path) -> None:
    with RunningServer(tmp_path, *DEMO, "--otlp", receiver.url) as server:
        until(lambda: len(receiver.requests) > 1)
        request = receiver.requests[-1]
        vram = Client(server.url).snapshot(blocks="none")
        status = Client(server.url).status().otlp
        assert status is not None
        assert status.exports_total >= 1
        assert (metric(server, "blackbox_otlp_points_total") or 0) >= 1
        assert (metric(server, "blackbox_otlp_cpu_seconds_total") or 0) > 0
    assert resource(request)["blackbox.simulated"] is True
    found = points(request)
    limits = {
        dict(has)["hw.id"]: told
        for (name, has), told in found.items()
        if name in ("hw.gpu.memory.limit", "blackbox.mig.memory.limit")
    }
    assert limits == {gpu.uuid: gpu.total_bytes for gpu in vram.gpus}
    assert not any(name.startswith("blackbox.process") for name, _ in found)
    assert server.exit_code == 0


def test_processes_are_sent_where_they_are_asked_for(receiver: Receiver, tmp_path: Path) -> None:
    with RunningServer(tmp_path, *DEMO, "--otlp", receiver.url, "--otlp-processes") as server:
        vram = Client(server.url).snapshot(blocks="none")
        seen = {(process.gpu_uuid, process.pid) for process in vram.processes}

        def told() -> bool:
            rows = [dict(has) for request in receiver.requests for _, has in points(request)]
            return seen <= {(row.get("hw.id"), row.get("process.pid")) for row in rows}

        until(told)


def test_secrets_come_from_a_file_and_show_nowhere(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text(f"Authorization: Bearer {SECRET}\n")
    file.chmod(0o600)
    receiver.status = 401
    words = ("--otlp", receiver.url, "--otlp-headers-file", str(file), "--log-level", "debug")
    with RunningServer(tmp_path, *DEMO, *words) as server:
        until(lambda: (metric(server, "blackbox_otlp_failures_total") or 0) >= 1)
        status = Client(server.url).status().otlp
        assert status is not None
        assert status.last_failure == "answered 401"
        assert receiver.said[0]["Authorization"] == f"Bearer {SECRET}"
        shown = [asked(server, "/settings"), asked(server, "/status"), Path(f"/proc/{server.pid}/cmdline").read_bytes()]
        receiver.status = 200
        until(lambda: (metric(server, "blackbox_otlp_exports_total") or 0) >= 1)
    assert "it answered 401" in server.log
    assert SECRET not in server.log
    assert all(SECRET.encode() not in text for text in shown)


def test_without_the_flag_there_is_no_thread_and_no_import(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--no-record") as server:
        threads = [path.read_text().strip() for path in Path(f"/proc/{server.pid}/task").glob("*/comm")]
        maps = Path(f"/proc/{server.pid}/maps").read_text()
        assert Client(server.url).status().otlp is None
        assert metric(server, "blackbox_otlp_exports_total") is None
    assert "otlp" not in threads
    assert "google/_upb" not in maps


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--otlp", "http://collector.example.org:4318"), 2, "use https"),
        (("--otlp", f"https://user:{SECRET}@collector.example.org"), 2, "--otlp-headers-file"),
        (("--otlp", "http://localhost:4318", "--otlp-headers-file", "/nowhere/headers"), 1, "cannot read"),
        (("--otlp-processes",), 2, "--otlp URL"),
        (("--otlp", "nonsense"), 2, "no address"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], code: int, complaint: str, tmp_path: Path
) -> None:
    refused = blackbox("serve", "0", "--demo", "--no-record", *words, env=environment(tmp_path))
    assert refused.returncode == code
    assert complaint in refused.stderr
    assert SECRET not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) <= 2
