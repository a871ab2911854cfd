"""Events from the detector to whoever asks, through the server as people start it."""

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.running_server import RunningServer
from tests.waiting import PATIENCE_SECONDS, until, until_value


def kinds(server: RunningServer) -> list[str]:
    with urlopen(f"{server.url}/vram/events", timeout=PATIENCE_SECONDS) as answer:
        return [event["kind"] for event in json.load(answer)["events"]]


def usage_series(server: RunningServer) -> list[dict[str, Any]]:
    with urlopen(f"{server.url}/vram/history?metric=kv_usage_ratio", timeout=PATIENCE_SECONDS) as answer:
        return json.load(answer)["series"]


def test_a_crossed_threshold_is_recorded_and_listed(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms", "--threshold", "10", "--threshold", "20%") as server:
        found = until_value(lambda: kinds(server), lambda found: len(found) >= 2, lambda: server.log)
        assert set(found) == {"threshold"}
        assert "WARNING blackbox.events.detectors: threshold: GPU 0 uses" in server.log


def test_what_is_simulated_is_shown_to_everyone(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms") as server:
        series = until(lambda: usage_series(server), lambda: server.log)
        assert [one["engine"] for one in series] == ["vllm"]


def test_without_a_recording_events_are_in_the_log(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms", "--threshold", "10", "--no-record") as server:
        until(lambda: "threshold: GPU 0 uses" in server.log, lambda: server.log)
