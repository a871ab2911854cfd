"""`blackbox doctor` on a machine with a driver: healthy, hanging, or without its library."""

import json
from pathlib import Path

import pytest

from tests.fake_nvml import FakeDriver
from tests.running_server import blackbox, environment


def findings(home: Path, code: int) -> dict[str, dict[str, str]]:
    done = blackbox("doctor", "--json", env=environment(home, BLACKBOX_PORT="1"))
    assert (done.returncode, done.stderr) == (code, "")
    found: dict[str, dict[str, str]] = {}
    for finding in map(json.loads, done.stdout.splitlines()):
        found.setdefault(finding["subject"], finding)
    return found


def test_a_healthy_machine(fake_driver: FakeDriver, tmp_path: Path) -> None:
    fake_driver.populate(gpus=2, processes=3)
    found = findings(tmp_path, code=0)
    assert found["driver"]["level"] == found["gpu"]["level"] == "ok"
    assert "MiB used" in found["gpu"]["text"]
    assert fake_driver.open_handles() == 0


def test_of_a_recording_that_is_not_there_nobody_is_said_to_own_it(tmp_path: Path) -> None:
    told = blackbox(
        "doctor", "--json", env=environment(tmp_path, BLACKBOX_PORT="1", BLACKBOX_DATA_DIR=str(tmp_path / "x"))
    )
    (found,) = [one for one in map(json.loads, told.stdout.splitlines()) if one["subject"] == "recording"]
    assert found["text"] == f"nothing is recorded in {tmp_path / 'x'} yet"


def test_a_machine_without_a_gpu(fake_driver: FakeDriver, tmp_path: Path) -> None:
    fake_driver.set_gpus([])
    assert findings(tmp_path, code=1)["gpu"]["level"] == "fail"


def test_a_machine_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    found = findings(tmp_path, code=1)
    if found["driver"]["level"] == "ok":
        pytest.skip("this machine has a driver")
    assert "serve --demo" in found["driver"]["remedy"]


@pytest.mark.slow
def test_a_hanging_driver_ends_in_a_finding(fake_driver: FakeDriver, tmp_path: Path) -> None:
    fake_driver.populate(gpus=1)
    fake_driver.hang("nvmlInitWithFlags")
    found = findings(tmp_path, code=1)
    assert found["driver"]["level"] == "fail"
    assert found["driver"]["remedy"]
