"""Processes as seen from inside a container: whose pids the driver tells, and when pids change hands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from blackbox.model.sample import Sample
from blackbox.sources.proc.processes import HOST_PID_NAMESPACE
from tests.fake_nvml import GIB, FakeDriver, Gpu, Process, gpu_uuid
from tests.integration import reuse_pids
from tests.nvml_samples import memory, process
from tests.waiting import PATIENCE_SECONDS

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")
ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = PATIENCE_SECONDS
FIRST_PID_INSIDE = 1
"""In the namespace this is the sampling process itself; on the host, another one."""


@pytest.fixture(scope="module")
def pid_namespace() -> tuple[str, ...]:
    """The command that puts its arguments into a pid namespace of their own."""
    try:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare program on this machine")
    if tried.returncode:
        pytest.skip(f"not permitted to make a pid namespace: {tried.stderr.decode().strip()}")
    return UNSHARE


def run_inside(namespace: tuple[str, ...], module: str, *arguments: str) -> str:
    command = [*namespace, sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sample_inside(namespace: tuple[str, ...]) -> Sample:
    return msgspec.json.decode(run_inside(namespace, "tests.integration.print_samples"), type=Sample)


def populate(fake_driver: FakeDriver, driver_version: str) -> None:
    fake_driver.machine.driver_version = driver_version
    rows = [Process(pid=FIRST_PID_INSIDE, used_bytes=GIB), Process(pid=os.getpid(), used_bytes=2 * GIB)]
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=rows)])


@pytest.mark.fault(10)
@pytest.mark.parametrize("driver_version", ["535.104.05", "550.54.14", "565.57", "not a version"])
def test_row_10_host_pids_inside_a_namespace_stay_nameless(
    fake_driver: FakeDriver, pid_namespace: tuple[str, ...], driver_version: str
) -> None:
    populate(fake_driver, driver_version)
    sample = sample_inside(pid_namespace)
    assert sample.facts["pid_scope"] == "namespace"
    assert {row.pid: row.used_bytes for row in sample.processes} == {FIRST_PID_INSIDE: GIB, os.getpid(): 2 * GIB}
    for row in sample.processes:
        assert (row.name, row.user, row.container, row.start_time, row.state) == (None,) * 5
        assert "pids of the host" in row.unknown["name"]
    assert memory(sample, gpu_uuid(0)).used_bytes == 3 * GIB


@pytest.mark.fault(10)
def test_row_10_translated_pids_inside_a_namespace_have_names(
    fake_driver: FakeDriver, pid_namespace: tuple[str, ...]
) -> None:
    populate(fake_driver, "565.57.01")
    sample = sample_inside(pid_namespace)
    assert sample.facts["pid_scope"] == "namespace"
    assert (process(sample, FIRST_PID_INSIDE).name or "").startswith("python")
    assert process(sample, os.getpid()).name is None  # nobody has this pid inside
    assert "not to be seen" in process(sample, os.getpid()).unknown["name"]


def test_on_the_host_names_are_read_whatever_the_driver(fake_driver: FakeDriver) -> None:
    if str(Path("/proc/self/ns/pid").readlink()) != HOST_PID_NAMESPACE:
        pytest.skip("these tests run in a pid namespace of their own")
    populate(fake_driver, "535.104.05")
    sample = sample_inside(())
    assert sample.facts["pid_scope"] == "host"
    assert process(sample, os.getpid()).name == Path("/proc/self/comm").read_text().strip()


@pytest.mark.fault(12)
def test_row_12_reused_pid_never_has_the_wrong_name(
    fake_driver: FakeDriver, pid_namespace: tuple[str, ...], tmp_path: Path
) -> None:
    fake_driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=reuse_pids.PID)])])
    count = 300
    told = json.loads(run_inside(pid_namespace, "tests.integration.reuse_pids", str(tmp_path), str(count)))
    if not told["reused"]:
        pytest.skip("not permitted to choose the next pid")
    assert told == {"reused": count, "wrong": []}
