"""Events from the detector to whoever asks, through the server as people start it."""

import json
import time
from pathlib import Path
from urllib.request import urlopen

from tests.running_server import RunningServer

DEADLINE_SECONDS = 20.0


def kinds(server: RunningServer) -> list[str]:
    with urlopen(f"{server.url}/vram/events", timeout=10) as answer:
        return [event["kind"] for event in json.load(answer)["events"]]


def test_a_crossed_threshold_is_recorded_and_listed(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms", "--threshold", "10", "--threshold", "20%") as server:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(found := kinds(server)) < 2:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
        assert set(found) == {"threshold"}
        assert "WARNING blackbox.events.detectors: threshold: GPU 0 uses" in server.log


def test_what_is_simulated_is_shown_to_everyone(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms") as server:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            with urlopen(f"{server.url}/vram/history?metric=kv_usage_ratio", timeout=10) as answer:
                series = json.load(answer)["series"]
            if series:
                break
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
        assert [one["engine"] for one in series] == ["vllm"]


def test_without_a_recording_events_are_in_the_log(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms", "--threshold", "10", "--no-record") as server:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while "threshold: GPU 0 uses" not in server.log:
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
