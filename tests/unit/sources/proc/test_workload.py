"""What paths of cgroups say of whose a process is, as runtimes, kubelets and Slurm lay them out."""

from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.proc.pod_names import PodNames
from blackbox.sources.proc.processes import container_id
from blackbox.sources.proc.workload import NO_RUNTIME, NO_STEP, workload_of

ID, OUTER = "0123456789abcdef" * 4, "f" * 64
UID, OTHER = "0b1c2d3e-aaaa-bbbb-cccc-0123456789ab", "99999999-1111-2222-3333-444444444444"
U, O = UID.replace("-", "_"), OTHER.replace("-", "_")  # noqa: E741 - as systemd writes it
STATIC = "0123456789abcdef" * 2
KUBE, BURST, BEST = "kubepods.slice", "kubepods-burstable.slice", "kubepods-besteffort.slice"
STEPD = "/system.slice/slurmstepd.scope"
KIND = f"/docker/{OUTER}/kubelet.slice/kubelet-kubepods.slice"


class Of(NamedTuple):
    """What is expected of a path."""

    runtime: str | None = None
    pod: str | None = None
    qos: str | None = None
    job: str | None = None
    step: str | None = None
    container: str | None = ID


DOCKER, CONTAINERD, CRIO, PODMAN = Of("docker"), Of("containerd"), Of("cri-o"), Of("podman")
NOBODY = Of(container=None)


def job(number: str, step: str | None, runtime: str | None = None, container: str | None = None) -> Of:
    return Of(runtime, job=number, step=step, container=container)


PATHS: list[tuple[str, Of]] = [
    # containers alone: docker, containerd, cri-o, podman, each by systemd and by cgroupfs, version 2 and 1
    (f"0::/system.slice/docker-{ID}.scope", DOCKER),
    (f"0::/docker/{ID}", DOCKER),
    (f"12:devices:/docker/{ID}\n1:name=systemd:/docker/{ID}", DOCKER),
    (f"4:memory:/system.slice/docker-{ID}.scope", DOCKER),
    (f"0::/docker/{ID}/init.scope", DOCKER),
    (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope", DOCKER),
    (f"0::/ml.slice/docker-{ID}.scope", DOCKER),
    (f"0::/system.slice/nerdctl-{ID}.scope", CONTAINERD),
    (f"0::/system.slice/cri-containerd-{ID}.scope", CONTAINERD),
    (f"0::/default/{ID}", Of()),
    (f"0::/machine.slice/libpod-{ID}.scope", PODMAN),
    (f"0::/machine.slice/libpod-{ID}.scope/container", PODMAN),
    (f"0::/libpod_parent/libpod-{ID}", PODMAN),
    (f"9:pids:/libpod_parent/libpod-{ID}/ctr", PODMAN),
    (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container", PODMAN),
    (f"0::/machine.slice/machine-libpod_pod_{OUTER}.slice/libpod-{ID}.scope", PODMAN),
    (f"0::/machine.slice/libpod-conmon-{ID}.scope", NOBODY),
    (f"0::/system.slice/crio-{ID}.scope", CRIO),
    (f"0::/ecs/1a2b3c4d/{ID}", Of()),
    ("0::/lxc.payload.web-1/init.scope", Of("lxc", container="web-1")),
    ("4:devices:/lxc/web", Of("lxc", container="web")),
    ("0::/machine.slice/machine-bookworm.scope/payload", Of("systemd-nspawn", container="bookworm")),
    # pods by systemd: guaranteed, burstable, besteffort
    (f"0::/{KUBE}/kubepods-pod{U}.slice/cri-containerd-{ID}.scope", Of("containerd", UID, "guaranteed")),
    (f"0::/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice/cri-containerd-{ID}.scope",
     Of("containerd", UID, "burstable")),
    (f"0::/{KUBE}/{BEST}/kubepods-besteffort-pod{U}.slice/cri-containerd-{ID}.scope",
     Of("containerd", UID, "besteffort")),
    (f"0::/{KUBE}/kubepods-pod{U}.slice/crio-{ID}.scope", Of("cri-o", UID, "guaranteed")),
    (f"0::/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice/crio-{ID}.scope/container", Of("cri-o", UID, "burstable")),
    (f"0::/{KUBE}/{BEST}/kubepods-besteffort-pod{U}.slice/crio-{ID}.scope", Of("cri-o", UID, "besteffort")),
    (f"0::/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice/crio-conmon-{ID}.scope",
     Of(pod=UID, qos="burstable", container=None)),
    (f"0::/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice/docker-{ID}.scope", Of("docker", UID, "burstable")),
    (f"0::/{KUBE}/kubepods-pod{U}.slice/docker-{ID}.scope", Of("docker", UID, "guaranteed")),
    (f"0::/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice", Of(pod=UID, qos="burstable", container=None)),
    (f"11:memory:/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice/cri-containerd-{ID}.scope\n1:name=systemd:/x",
     Of("containerd", UID, "burstable")),
    (f"5:cpu:/system.slice/containerd.service/kubepods-burstable-pod{U}.slice:cri-containerd:{ID}",
     Of("containerd", UID, "burstable")),
    (f"5:cpu:/system.slice/containerd.service/kubepods-pod{U}.slice:cri-containerd:{ID}",
     Of("containerd", UID, "guaranteed")),
    (f"5:cpu:/system.slice/containerd.service/kubepods-besteffort-pod{U}.slice:cri-containerd:{ID}",
     Of("containerd", UID, "besteffort")),
    # pods by cgroupfs: the path has the id alone
    (f"0::/kubepods/pod{UID}/{ID}", Of(None, UID, "guaranteed")),
    (f"0::/kubepods/burstable/pod{UID}/{ID}", Of(None, UID, "burstable")),
    (f"0::/kubepods/besteffort/pod{UID}/{ID}", Of(None, UID, "besteffort")),
    (f"4:memory:/kubepods/burstable/pod{UID}/{ID}\n3:cpuset:/kubepods/burstable/pod{UID}/{ID}",
     Of(None, UID, "burstable")),
    (f"0::/kubepods/burstable/pod{UID}/crio-{ID}", Of("cri-o", UID, "burstable")),
    (f"0::/kubepods/burstable/pod{UID}/{ID}/nested", Of(None, UID, "burstable")),
    (f"0::/kubepods/burstable/pod{UID}", Of(None, UID, "burstable", container=None)),
    # static pods have the hash of their file for a uid
    (f"0::/{KUBE}/{BURST}/kubepods-burstable-pod{STATIC}.slice/cri-containerd-{ID}.scope",
     Of("containerd", STATIC, "burstable")),
    (f"0::/kubepods/burstable/pod{STATIC}/{ID}", Of(None, STATIC, "burstable")),
    # a cgroup of its own around the kubelet's, or a name of its own
    (f"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{U}.slice/cri-containerd-{ID}.scope",
     Of("containerd", UID, "guaranteed")),
    (f"0::/system.slice/k3s.service/kubepods/besteffort/pod{UID}/{ID}", Of(None, UID, "besteffort")),
    (f"0::/actions.slice/kubepods/burstable/pod{UID}/{ID}", Of(None, UID, "burstable")),
    # one inside the other: kind, minikube, docker in a pod, a cluster in a pod
    (f"0::{KIND}/kubelet-kubepods-pod{U}.slice/cri-containerd-{ID}.scope", Of("containerd", UID, "guaranteed")),
    (f"0::{KIND}/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{U}.slice/cri-containerd-{ID}.scope",
     Of("containerd", UID, "burstable")),
    (f"0::/docker/{OUTER}/kubelet/kubepods/besteffort/pod{UID}/{ID}", Of(None, UID, "besteffort")),
    (f"0::/system.slice/docker-{OUTER}.scope/{KUBE}/{BURST}/kubepods-burstable-pod{U}.slice/cri-containerd-{ID}.scope",
     Of("containerd", UID, "burstable")),
    (f"0::/machine.slice/libpod-{OUTER}.scope/container/kubelet.slice/kubelet-kubepods.slice/"
     f"kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{U}.slice/cri-containerd-{ID}.scope",
     Of("containerd", UID, "besteffort")),
    (f"0::/{KUBE}/kubepods-pod{U}.slice/cri-containerd-{OUTER}.scope/docker/{ID}", Of("docker", UID, "guaranteed")),
    (f"0::/{KUBE}/kubepods-pod{O}.slice/cri-containerd-{OUTER}.scope/kubepods/burstable/pod{UID}/{ID}",
     Of(None, UID, "burstable")),
    # the server in a cgroup namespace beside those it sees
    (f"0::/../../kubepods-burstable-pod{U}.slice/cri-containerd-{ID}.scope", Of("containerd", UID, "burstable")),
    (f"0::/../cri-containerd-{ID}.scope", CONTAINERD),
    (f"0::/../{ID}", Of()),
    # Slurm: version 1
    ("9:memory:/slurm/uid_1000/job_4711/step_0/task_1", job("4711", "0")),
    ("9:memory:/slurm/uid_1000/job_4711/step_batch\n4:cpuset:/slurm/uid_1000/job_4711", job("4711", None)),
    ("4:cpuset:/slurm/uid_1000/job_4711\n9:memory:/slurm/uid_1000/job_4711/step_batch", job("4711", "batch")),
    ("5:devices:/slurm_node7/uid_0/job_12/step_extern/task_0", job("12", "extern")),
    ("5:freezer:/slurm/uid_1000/job_4711", job("4711", None)),
    # version 2
    (f"0::{STEPD}/job_4711/step_0/user/task_0", job("4711", "0")),
    (f"0::{STEPD}/job_4711/step_12/user/task_3", job("4711", "12")),
    (f"0::{STEPD}/job_4711/step_batch/user/task_0", job("4711", "batch")),
    (f"0::{STEPD}/job_4711/step_extern/user/task_special", job("4711", "extern")),
    (f"0::{STEPD}/job_4711/step_interactive/user/task_0", job("4711", "interactive")),
    (f"0::{STEPD}/job_4711/step_0/slurm", job("4711", "0")),
    (f"0::{STEPD}/job_4711", job("4711", None)),
    ("0::/system.slice/node7_slurmstepd.scope/job_5/step_1/user/task_0", job("5", "1")),
    (f"0::{STEPD}/system", NOBODY),
    ("0::/system.slice/slurmd.service", NOBODY),
    # Slurm and containers, either way around
    (f"0::{STEPD}/job_4711/step_0/user/task_0/docker/{ID}", job("4711", "0", "docker", ID)),
    (f"0::/{KUBE}/kubepods-pod{U}.slice/cri-containerd-{ID}.scope{STEPD}/job_5/step_0/user/task_0",
     Of("containerd", UID, "guaranteed", "5", "0")),
    # nobody
    ("", NOBODY),
    ("0::/", NOBODY),
    ("0::/init.scope", NOBODY),
    ("0::/user.slice/user-1000.slice/session-3.scope", NOBODY),
    ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-code.scope", NOBODY),
    ("0::/system.slice/ssh.service", NOBODY),
    (f"0::/{KUBE}", NOBODY),
    ("0::/system.slice/kubelet.service", NOBODY),
    (f"0::/user.slice/pod{UID}", NOBODY),
    ("0::/app.slice/job_12/step_0", NOBODY),
    ("0::/kubepods/podcast", NOBODY),
    (r"0::/machine.slice/machine-qemu\x2d1\x2dvm.scope", NOBODY),
]  # fmt: skip


@pytest.mark.parametrize(("cgroup", "expected"), PATHS)
def test_a_path_is_attributed(cgroup: str, expected: Of) -> None:
    container = container_id(cgroup)
    found = workload_of(cgroup, container)
    if expected == NOBODY:
        assert (container, found) == (None, None)
        return
    assert found is not None
    told = (found.runtime, found.pod_uid, found.qos, found.slurm_job, found.slurm_step, container)
    assert told == expected
    assert ("runtime" in found.unknown) == (container is not None and expected.runtime is None)
    assert ("pod" in found.unknown) == ("namespace" in found.unknown) == (expected.pod is not None)
    assert ("slurm_step" in found.unknown) == (expected.job is not None and expected.step is None)


def test_the_table_is_as_long_as_was_promised() -> None:
    assert len({cgroup for cgroup, _ in PATHS}) == len(PATHS) >= 60


def test_what_a_path_leaves_out_is_unknown_with_a_reason() -> None:
    found = workload_of(f"0::/kubepods/pod{UID}/{ID}", ID)
    assert found is not None
    assert found.unknown["runtime"] == NO_RUNTIME
    found = workload_of(f"0::{STEPD}/job_1", None)
    assert found is not None
    assert found.unknown == {"slurm_step": NO_STEP}


@given(st.text() | st.text("kubepods/-.slurmjob_1step0\n:", max_size=300))
def test_any_text_is_taken(cgroup: str) -> None:
    found = workload_of(cgroup, container_id(cgroup))
    assert found is None or found.pod_uid is None or found.pod_uid.replace("-", "_") in cgroup.replace("-", "_")


def logs(tmp_path: Path, *names: str, mode: int = 0o755) -> PodNames:
    folder = tmp_path / "pods"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir()
    folder.chmod(mode)
    return PodNames(folder)


def test_names_are_those_of_the_kubelets_directories(tmp_path: Path) -> None:
    pods = logs(tmp_path, f"other_web-0_{OTHER}", f"ml-team_train-7.a_{UID}", "not a pod")
    found = workload_of(f"0::/kubepods/pod{UID}/{ID}", ID, pods)
    assert found is not None
    assert (found.namespace, found.pod, list(found.unknown)) == ("ml-team", "train-7.a", ["runtime"])
    (tmp_path / "pods" / f"ml-team_train-7.a_{UID}").rmdir()
    assert workload_of(f"0::/kubepods/pod{UID}/{ID}", ID, pods) == found, "a name that was found stays"


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o700, 0o711])
def test_what_not_every_user_may_list_names_nobody(tmp_path: Path, mode: int) -> None:
    name, reason = logs(tmp_path, f"ml_train_{UID}", mode=mode).of(UID)
    assert (name is None) == (mode != 0o755)
    assert reason is None or "not every user may read" in reason


def test_a_pod_without_a_directory_and_a_machine_without_pods_say_so(tmp_path: Path) -> None:
    assert logs(tmp_path).of(UID) == (None, f"{tmp_path / 'pods'} has no directory of it")
    assert PodNames(tmp_path / "none").of(UID) == (None, f"{tmp_path / 'none'}: No such file or directory")
