"""The doctor's checks, on machines in every state."""

import os
import socket
from pathlib import Path

import pytest
from msgspec import structs

from blackbox.cli.commands import doctor_checks as checks
from blackbox.cli.commands.doctor_checks import Finding, Machine, gpu, power
from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.model.parts import Device, DeviceProcess, Memory, MigInstance
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.settings import Settings
from blackbox.sources.kubelet import KUBELET_SOCKET, call
from tests.kubelet_server import Container, answer
from tests.scripted_server import Script, ScriptedServer, json_answer, text_answer
from tests.unit.model.test_view import moment_of_blocks

GIB = 1024**3
PARENT = "GPU-8f6d1b2e-0000-4c3a-9f50-bbbbbbbbbbbb"


def machine(
    sample: Sample | None = None,
    proc: Path = Path("/nowhere"),
    port: int = 1,
    streams_max: int = 10,
    search_path: str = "/nowhere",
) -> Machine:
    return Machine(
        vendor="nvidia",
        sample=lambda: sample or Sample(source="nvml", taken_at=0.0),
        settings=Settings(port=port, streams_max=streams_max),
        environ={"PATH": search_path},
        proc=proc,
        dev=Path("/nowhere"),
    )


def device(state: str = "ok", with_memory: bool = True, unknown: dict[str, str] | None = None) -> Device:
    memory = Memory(total_bytes=3 * GIB, used_bytes=GIB, free_bytes=2 * GIB, driver_reserved_bytes=0, source="nvml_v2")
    return Device(
        uuid="GPU-1",
        index=0,
        name="Test GPU",
        state=state,  # pyright: ignore[reportArgumentType]
        reason="fell off the bus",
        taken_at=0.0,
        memory=memory if with_memory else None,
        unknown=unknown or {},
    )


def process(used_bytes: int | None) -> DeviceProcess:
    return DeviceProcess(
        pid=1,
        gpu_uuid="GPU-1",
        used_bytes=used_bytes,
        kind="compute",
        name="python",
        user=None,
        uid=None,
        container=None,
        start_time=None,
        unknown={} if used_bytes is not None else {"used_bytes": "WDDM keeps it back"},
    )


def found(findings: list[Finding], subject: str) -> Finding:
    return next(finding for finding in findings if finding.subject == subject)


@pytest.mark.parametrize("state", ["no_driver", "no_access", "version_mismatch", "stale", "failed"])
def test_every_state_of_the_driver_has_a_remedy(state: SourceState) -> None:
    sample = Sample(source="nvml", taken_at=0.0, state=state, reason="because")
    (finding,) = checks.driver(machine(sample))
    assert (finding.subject, finding.level) == ("driver", "fail")
    assert "because" in finding.text
    assert finding.remedy


def test_a_healthy_driver() -> None:
    facts = {"driver_version": "580.1"}
    sample = Sample(source="nvml", taken_at=0.0, devices=(device(),), processes=(process(1),), facts=facts)
    findings = list(checks.driver(machine(sample)))
    assert [finding.level for finding in findings] == ["ok", "ok", "ok"]
    assert "driver version 580.1" in findings[0].text
    assert "1024 of 3072 MiB" in findings[1].text


def test_a_driver_without_gpus_fails() -> None:
    findings = list(checks.driver(machine(Sample(source="nvml", taken_at=0.0))))
    assert found(findings, "gpu").level == "fail"


def test_a_sick_gpu_and_one_that_keeps_its_memory_secret() -> None:
    assert checks.gpu(device("lost"), "nvidia").level == "fail"
    assert "fell off the bus" in checks.gpu(device("lost"), "nvidia").text
    secret = checks.gpu(device(with_memory=False, unknown={"memory": "no permission"}), "nvidia")
    assert (secret.level, "no permission" in secret.text) == ("warn", True)


def test_amds_gpus_have_remedies_of_their_own_and_no_profiling() -> None:
    absent = Sample(source="amd", taken_at=0.0, state="no_driver", reason="not loaded")
    findings = list(checks.examine(structs.replace(machine(absent), vendor="amd")))
    assert "modprobe amdgpu" in str(found(findings, "driver").remedy)
    assert all(finding.subject != "profiling" for finding in findings)
    assert "amd-smi" in str(checks.gpu(device("lost"), "amd").remedy)


def test_processes_of_unknown_size_and_lists_that_are_refused() -> None:
    silent = checks.processes(Sample(source="nvml", taken_at=0.0, devices=(device(),), processes=(process(None),)))
    assert (silent.level, "WDDM" in silent.text) == ("warn", True)
    refused = device(unknown={"processes": "no permission"})
    finding = checks.processes(Sample(source="nvml", taken_at=0.0, devices=(refused,)))
    assert (finding.level, finding.text) == ("warn", "no permission")


def test_the_pid_namespace(tmp_path: Path) -> None:
    link = tmp_path / "self/ns/pid"
    link.parent.mkdir(parents=True)
    assert checks.pid_namespace(machine(proc=tmp_path)).level == "warn"
    link.symlink_to("pid:[4026531836]")
    assert checks.pid_namespace(machine(proc=tmp_path)).level == "ok"
    link.unlink()
    link.symlink_to("pid:[4026532501]")
    finding = checks.pid_namespace(machine(proc=tmp_path))
    assert (finding.level, "--pid=host" in (finding.remedy or "")) == ("warn", True)


@pytest.mark.parametrize(("parameter", "uid", "level"), [("0", 1000, "ok"), ("1", 0, "ok"), ("1", 1000, "warn")])
def test_profiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameter: str, uid: int, level: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert checks.profiling(machine(proc=tmp_path)).level == "warn"
    params = tmp_path / "driver/nvidia/params"
    params.parent.mkdir(parents=True)
    params.write_text(f"ResmanDebugLevel: 4294967295\nRmProfilingAdminOnly: {parameter}\n")
    assert checks.profiling(machine(proc=tmp_path)).level == level


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (None, "no Nsight Compute on PATH"),
        ("2025.4.1.0", "Nsight Compute 2025.4.1.0 measures what it starts; 2026.2.1 and newer attach"),
        ("2026.3.1.0", "Nsight Compute 2026.3.1.0 starts programs and attaches to running ones"),
    ],
)
def test_nsight_compute(tmp_path: Path, version: str | None, text: str) -> None:
    if version is not None:
        (tmp_path / "ncu").write_text(f"#!/bin/sh\necho 'Version {version} (build 36)'\n")
        (tmp_path / "ncu").chmod(0o755)
    finding = checks.nsight_compute(machine(search_path=str(tmp_path)))
    assert finding.level == "ok"
    assert finding.text.startswith(text)


def test_gpus_that_may_sleep_and_what_lets_them(tmp_path: Path) -> None:
    power_file = tmp_path / "bus/pci/drivers/nvidia/0000:01:00.0/power/control"
    power_file.parent.mkdir(parents=True)
    power_file.write_text("auto\n")
    (awake,) = power(structs.replace(machine(), sys=tmp_path))
    assert awake.level == "warn"
    assert "0000:01:00.0" in awake.text
    assert "--idle-release" in (awake.remedy or "")
    patient = structs.replace(machine(), sys=tmp_path, settings=Settings(idle_release_seconds=300.0))
    (let,) = power(patient)
    assert (let.level, "300 s" in let.text) == ("ok", True)
    power_file.write_text("on\n")
    assert list(power(structs.replace(machine(), sys=tmp_path))) == []


def test_a_gpu_that_sleeps_is_no_fault() -> None:
    assert gpu(device("asleep", with_memory=False), "nvidia").level == "ok"


def test_the_file_limit() -> None:
    assert checks.file_limit(machine(streams_max=1000), 20_000).level == "ok"
    assert checks.file_limit(machine(streams_max=1000), -1).level == "ok"
    assert checks.file_limit(machine(streams_max=1000), 1000).level == "warn"


def test_the_server_that_the_environment_names() -> None:
    assert list(checks.named_server(machine())) == []
    snapshot = to_json(merge(moment_of_blocks(1)))
    with ScriptedServer([Script(json_answer(snapshot))]) as server:
        url = server.url.replace("://", "://ana:secret@")
        (found,) = checks.named_server(structs.replace(machine(), environ={"BLACKBOX_URL": url}))
        assert (found.level, server.url in found.text, "secret" in found.text) == ("ok", True, False)
    (found,) = checks.named_server(structs.replace(machine(), environ={"BLACKBOX_URL": server.url}))
    assert (found.level, "unset" in (found.remedy or "")) == ("warn", True)
    (found,) = checks.named_server(structs.replace(machine(), environ={"BLACKBOX_URL": "no url"}))
    assert found.level == "warn"


def test_who_has_the_port() -> None:
    def ask(*scripts: Script) -> Finding:
        with ScriptedServer(scripts) as server:
            return checks.server(machine(port=int(server.url.rpartition(":")[2])))

    snapshot = to_json(merge(moment_of_blocks(1)))
    assert ask(Script(json_answer(snapshot))).level == "ok"
    assert ask(Script(text_answer("401 Unauthorized", "token wanted"))).level == "ok"
    assert ask(Script(b"SSH-2.0\r\n")).level == "fail"
    assert ask().level == "fail"
    with ScriptedServer([]) as server:
        port = int(server.url.rpartition(":")[2])
    assert "free" in checks.server(machine(port=port)).text


def test_what_a_kubelet_gave_is_named_as_the_server_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a MIG instance that is called by its number on the GPU, for which the driver is asked."""
    folder = tmp_path / "driver/nvidia/gpus/0000:07:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text(f"GPU UUID: \t {PARENT}\nDevice Minor: \t 0\n")
    mig = MigInstance(gpu_instance_id=3, compute_instance_id=0)
    slices = structs.replace(device(), uuid="MIG-1", parent_uuid=PARENT, mig=mig)
    given = answer(Container("ml", "train-0", "main", {"nvidia.com/gpu": ["nvidia0/gi3"]}))
    monkeypatch.setattr(call, "call", lambda *_, **__: given)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "kubelet.sock"))
        settings = Settings(source_options={KUBELET_SOCKET.key: tmp_path / "kubelet.sock"})
        one = structs.replace(
            machine(Sample(source="nvml", taken_at=0.0, devices=(slices,)), tmp_path), settings=settings
        )
        (finding,) = checks.kubelet(one)
    assert finding.text == "GPUs and MIG instances given: 1, to pods: 1"
