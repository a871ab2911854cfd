"""Slurm's prolog and epilog on a real server and a real ClickHouse: what a job was given, and that it gave it back."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blackbox.fleet.ddl import TableLayout, scheduler_grants
from blackbox.fleet.rows import Origin
from blackbox.fleet.send import Access
from blackbox.fleet.setup import make_tables
from tests.clickhouse_rig import PASSWORD, ClickHouse, running
from tests.running_server import RunningServer, environment
from tests.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "deploy" / "slurm"
SCHEDULER = "scheduler"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    grants = {SCHEDULER: [f"GRANT {grant}" for grant in scheduler_grants(TableLayout())]}
    with running(tmp_path_factory.mktemp("clickhouse"), 1, grants) as (node,):
        make_tables([Access(node.url)], TableLayout(), lambda _: None)
        yield node


class Hooks:
    """Runs the scripts as Slurm does, and keeps what they would log."""

    def __init__(self, folder: Path, node: ClickHouse, server: str) -> None:
        self._log = folder / "log"
        self._log.touch()
        tools = folder / "bin"
        tools.mkdir()
        (tools / "logger").write_text(f'#!/bin/sh\ncat >> "{self._log}"\n')
        (tools / "blackbox").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m blackbox "$@"\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        flags = f"--user {SCHEDULER} --password-file {secret} --server {server} --directory {folder / 'run'}"
        self._env = environment(
            folder, BLACKBOX_FLEET=node.url, FLEET_FLAGS=flags, FLEET_SECONDS=f"{PATIENCE_SECONDS:g}"
        )
        self._env["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"

    def run(self, script: str, **slurm: str) -> str:
        """What it logged; it must not fail."""
        before = len(self._log.read_text())
        subprocess.run(["sh", HOOKS / script], env=self._env | slurm, check=True, cwd="/")
        return self._log.read_text()[before:]


@pytest.fixture
def hooks(tmp_path: Path, node: ClickHouse) -> Iterator[Hooks]:
    with RunningServer(tmp_path, "--demo") as server:
        yield Hooks(tmp_path, node, server.url)


def allocations(node: ClickHouse, job: str) -> list[dict[str, Any]]:
    query = "SELECT host, gpu_uuid, scheduler, user, since <= now() AS begun, until >= since AS ended"
    return node.rows(f"{query} FROM blackbox.allocation FINAL WHERE job = '{job}' ORDER BY gpu_uuid")


def test_a_job_is_given_gpus_and_gives_them_back(node: ClickHouse, hooks: Hooks) -> None:
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_USER": "ann", "SLURM_JOB_GPUS": "0,1"}
    assert hooks.run("prolog.sh", **job) == ""
    first, second = allocations(node, "4711")
    assert first["gpu_uuid"] != second["gpu_uuid"]
    common = {"host": socket.gethostname(), "scheduler": "slurm", "user": Origin("", "").user("ann"), "begun": 1}
    assert {key: first[key] for key in common} == common
    assert first["ended"] is None
    assert hooks.run("epilog.sh", **job) == ""
    assert [row["ended"] for row in allocations(node, "4711")] == [1, 1]


def test_hooks_say_what_is_wrong_in_one_line_and_never_fail(node: ClickHouse, hooks: Hooks) -> None:
    told = hooks.run("prolog.sh", SLURM_JOB_ID="1", SLURM_JOB_GPUS="77")
    assert "no GPU '77' on this machine" in told
    assert told.count("\n") == 1
    assert "nothing is known of job 1" in hooks.run("epilog.sh", SLURM_JOB_ID="1", SLURM_JOB_GPUS="77")
    assert hooks.run("prolog.sh", SLURM_JOB_ID="2") == "", "a job without GPUs"
    assert allocations(node, "1") == allocations(node, "2") == []


def test_a_scheduler_may_write_what_it_gave_and_nothing_else(node: ClickHouse) -> None:
    assert node.ask("SELECT count() FROM blackbox.allocation", user=SCHEDULER).code == 497
    assert node.ask("INSERT INTO blackbox.event (machine) VALUES ('m')", user=SCHEDULER).code == 497
