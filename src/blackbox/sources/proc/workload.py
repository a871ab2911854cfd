"""What the path of a cgroup says of whose a process is: pod, runtime of the container, Slurm job and step.

Container runtimes, the kubelet and Slurm put what they start into cgroups that bear its name, and the kernel tells
every user where a process is. Paths of version 1 and 2, of the systemd driver and of cgroupfs, one inside the other
too: what is innermost counts.
"""

import re
from typing import Literal, get_args

from blackbox.model.parts import PodQos, Workload
from blackbox.sources.proc.pod_names import PodNames

_POD = re.compile(
    r"^.*kubepods(?P<between>[^\n]*?[/-])pod"
    r"(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?=\.slice|/|$)",
    re.MULTILINE,
)
"""`kubepods/burstable/pod…` (cgroupfs) or `kubepods-burstable-pod….slice` (systemd, which has `_` for `-`), whatever
stands around it: `kubelet-kubepods…`, `/docker/…/kubelet/kubepods/…` (kind). Static pods have 32 digits."""
_SLURM = re.compile(
    r"^.*slurm[^/\n]*/(?:[^/\n]+/)*?job_(?P<job>[0-9]{1,10})(?:/step_(?P<step>[0-9a-z+_.]{1,32}))?(?=/|$)",
    re.MULTILINE,
)
"""`/slurm/uid_0/job_1/step_0` (version 1), `/system.slice/slurmstepd.scope/job_1/step_batch/user/task_0` (version 2);
the name of the node may stand before or behind `slurm`."""
_RUNTIME = re.compile(
    r"[/:](?:(?P<word>docker|cri-containerd|nerdctl|crio|libpod)[-:/]"
    r"|libpod_parent/libpod-)[0-9a-f]{64}(?:\.scope)?(?=/|$)"
    r"|/(?P<name>lxc)(?:\.payload[./]|/)[^/\n]+"
    r"|/(?P<machine>machine-)(?!qemu)[^/\n]+?\.scope(?=/|$)",
    re.MULTILINE,
)
Runtime = Literal["docker", "containerd", "cri-o", "podman", "lxc", "systemd-nspawn"]
_RUNTIMES: dict[str, Runtime] = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
    "lxc": "lxc",
    "machine-": "systemd-nspawn",
}
NO_RUNTIME = "the path of its cgroup does not say which"
NO_STEP = "the path of its cgroup names no step"


def workload_of(cgroup: str, container: str | None, pods: PodNames | None = None) -> Workload | None:
    """Of a process with this text in its cgroup file, in this `container`; None where the text names nothing."""
    pod, slurm = _last(_POD, cgroup), _last(_SLURM, cgroup)
    if container is None and pod is None and slurm is None:
        return None
    unknown: dict[str, str] = {}
    runtime = None if container is None else _runtime(cgroup, container)
    if container is not None and runtime is None:
        unknown["runtime"] = NO_RUNTIME
    uid = None if pod is None else pod["uid"].replace("_", "-")
    name = None
    if uid is not None:
        name, reason = (None, "nobody was asked") if pods is None else pods.of(uid)
        if reason is not None:
            unknown |= dict.fromkeys(("namespace", "pod"), reason)
    if slurm is not None and slurm["step"] is None:
        unknown["slurm_step"] = NO_STEP
    return Workload(
        runtime=runtime,
        pod_uid=uid,
        qos=None if pod is None else _qos(pod["between"]),
        namespace=name.namespace if name else None,
        pod=name.pod if name else None,
        slurm_job=None if slurm is None else slurm["job"],
        slurm_step=None if slurm is None else slurm["step"],
        unknown=unknown,
    )


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The match in the last line that has one; patterns find what is innermost in a line."""
    found = None
    for match in pattern.finditer(text):
        found = match
    return found


def _runtime(cgroup: str, container: str) -> Runtime | None:
    """Who runs the container: the word before its id."""
    for match in _RUNTIME.finditer(cgroup):
        if container in match[0]:
            word = match["word"] or match["name"] or match["machine"] or "libpod"
            return _RUNTIMES[word]
    return None


def _qos(between: str) -> PodQos:
    """The class of service, which only the guaranteed pods' path leaves out."""
    found = [word for word in get_args(PodQos) if word in between]
    return found[-1] if found else "guaranteed"
