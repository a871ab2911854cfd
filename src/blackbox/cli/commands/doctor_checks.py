"""What the doctor looks at. Each check takes the machine as an argument and returns findings; none waits for long."""

import os
import platform
import resource
import shlex
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from msgspec import Struct

from blackbox.cli.commands.ncu_program import ATTACHES_SINCE, find_ncu
from blackbox.cli.common.server_arguments import URL_VARIABLE, local_url, named_url
from blackbox.cli.common.settings_file import config_path
from blackbox.client import Client, ClientError, StatusError, UnreachableError
from blackbox.client.target import without_password
from blackbox.errors import BlackboxError
from blackbox.model.parts import Device
from blackbox.model.sample import Sample
from blackbox.paths import data_directory
from blackbox.recorder.storage.directory import exposed
from blackbox.settings import Settings
from blackbox.sources.kubelet import ANSWER, KUBELET_SOCKET, NO_KUBELET
from blackbox.sources.kubelet.access import why_not
from blackbox.sources.kubelet.source import KubeletSource
from blackbox.sources.nvidia.runtime_power import may_sleep
from blackbox.sources.vendor import Vendor

Level = Literal["ok", "warn", "fail"]

SERVER_SECONDS_MAX = 2.0
"""A server of this machine answers in milliseconds."""
SPARE_FILES = 64
"""Files a server holds besides its streams."""
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel's fixed number for the machine's own namespace (PROC_PID_INIT_INO)."""
ALLOW_PROFILING = (
    "as root: put 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' in /etc/modprobe.d/ and load the driver "
    "anew, or give the server CAP_PERFMON"
)
_REMEDIES = {
    "no_driver": "install NVIDIA's driver (in a container: start it with --gpus all); "
    "'blackbox serve --demo' shows a simulated machine meanwhile",
    "version_mismatch": "the driver was upgraded while it was loaded: reboot, or unload and load the nvidia modules",
    "no_access": "let this user open /dev/nvidia* (in a container: start it anew with --gpus all)",
    "stale": "a driver call hangs: look for Xid in 'dmesg', reset the GPU or reboot",
}
_REMEDY_OTHERWISE = "look for NVRM and Xid in 'dmesg'; 'nvidia-smi' should fail alike"
_REMEDIES_AMD = {"no_driver": "load the kernel's driver: 'modprobe amdgpu'; for NVIDIA's GPUs: --vendor nvidia"}
_REMEDY_AMD_OTHERWISE = "look for amdgpu in 'dmesg'; 'amd-smi' should fail alike"


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the doctor's answer."""

    subject: str
    level: Level
    text: str
    remedy: str | None = None
    """What to do about it."""


class Machine(Struct, frozen=True, kw_only=True):
    """Where to look."""

    sample: Callable[[], Sample]
    """Asks the driver, within a limit; what went wrong is in the sample's state."""
    settings: Settings
    vendor: Vendor
    environ: Mapping[str, str]
    config_flag: str | None = None
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    sys: Path = Path("/sys")


def examine(machine: Machine) -> Iterator[Finding]:
    """All findings, each as soon as it is known."""
    yield python()
    yield system()
    yield settings_file(machine)
    yield from driver(machine)
    yield pid_namespace(machine)
    if machine.vendor == "nvidia":
        yield from power(machine)
        yield profiling(machine)
        yield nsight_compute(machine)
    yield recording(machine)
    yield file_limit(machine, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield server(machine)
    yield from named_server(machine)
    yield from inside(machine)
    yield from kubelet(machine)
    yield from fleet(machine)


def python() -> Finding:
    """The interpreter; older ones cannot even install Blackbox."""
    return Finding(subject="python", level="ok", text=f"{platform.python_implementation()} {platform.python_version()}")


def system() -> Finding:
    """The operating system."""
    text = f"{platform.system()} {platform.release()} {platform.machine()}"
    if platform.system() == "Linux":
        return Finding(subject="system", level="ok", text=text)
    return Finding(subject="system", level="warn", text=text, remedy="only Linux is tested")


def settings_file(machine: Machine) -> Finding:
    """The settings file in force; a faulty one was refused before the doctor began."""
    path, _ = config_path(machine.config_flag, machine.environ)
    text = f"{path} is in force" if path is not None and path.exists() else f"no file at {path}: defaults"
    return Finding(subject="settings", level="ok", text=text)


def driver(machine: Machine) -> Iterator[Finding]:
    """The driver library, every GPU, and the process lists."""
    sample = machine.sample()
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(sample.facts.items()))
    if sample.state not in ("ok", "degraded"):
        text = f"{sample.source}: {sample.reason or sample.state}"
        yield Finding(subject="driver", level="fail", text=text, remedy=_remedy(machine.vendor, sample.state))
        if machine.vendor == "nvidia":
            yield from device_files(machine)
        return
    level: Level = "ok" if sample.state == "ok" else "warn"
    yield Finding(subject="driver", level=level, text=f"{sample.source}: {sample.reason or 'answers'}; {facts}")
    if not sample.devices:
        text, remedy = "the driver lists no GPU", _remedy(machine.vendor)
        yield Finding(subject="gpu", level="fail", text=text, remedy=remedy)
    for device in sample.devices:
        yield gpu(device, machine.vendor)
    yield processes(sample)


def device_files(machine: Machine) -> Iterator[Finding]:
    """NVIDIA's device files, which a container or a group may keep from us."""
    for file in sorted(machine.dev.glob("nvidia*")):
        if file.is_char_device() and not os.access(file, os.R_OK | os.W_OK):
            text = f"{file} may not be opened by this user"
            yield Finding(subject="permission", level="fail", text=text, remedy=_REMEDIES["no_access"])


def gpu(device: Device, vendor: Vendor) -> Finding:
    """One GPU or MIG instance."""
    slice_ = f" MIG {device.mig.profile or 'instance'}" if device.mig else ""
    name = f"{device.index}{slice_} {device.name} ({device.uuid})"
    if device.state == "asleep":
        return Finding(subject="gpu", level="ok", text=f"{name}: {device.reason}")
    if device.state != "ok":
        text = f"{name}: {device.state}: {device.reason}"
        return Finding(subject="gpu", level="fail", text=text, remedy=_remedy(vendor, device.state))
    if device.memory is None:
        text = f"{name}: memory unknown: {device.unknown.get('memory', 'the driver does not tell')}"
        return Finding(subject="gpu", level="warn", text=text, remedy="the driver or the hypervisor keeps it back")
    mebibytes = 1024 * 1024
    text = f"{name}: {device.memory.used_bytes // mebibytes} of {device.memory.total_bytes // mebibytes} MiB used"
    return Finding(subject="gpu", level="ok", text=text)


def _remedy(vendor: Vendor, state: str = "") -> str:
    if vendor == "amd":
        return _REMEDIES_AMD.get(state, _REMEDY_AMD_OTHERWISE)
    return _REMEDIES.get(state, _REMEDY_OTHERWISE)


def processes(sample: Sample) -> Finding:
    """The driver's process lists, and whether they tell sizes."""
    silent = [process for process in sample.processes if process.used_bytes is None]
    text = f"{len(sample.processes)} on the GPUs"
    refused = next((device.unknown["processes"] for device in sample.devices if "processes" in device.unknown), None)
    if refused is not None:
        return Finding(
            subject="processes", level="warn", text=refused, remedy="run the server outside the container, or as root"
        )
    if silent:
        why = silent[0].unknown.get("used_bytes", "the driver does not tell")
        text = f"{text}, {len(silent)} of unknown size: {why}"
        return Finding(subject="processes", level="warn", text=text, remedy="none: WSL, vGPU and Windows keep it back")
    return Finding(subject="processes", level="ok", text=text)


def pid_namespace(machine: Machine) -> Finding:
    """Whether the driver's pids are ours."""
    try:
        namespace = str((machine.proc / "self/ns/pid").readlink())
    except OSError as error:
        return Finding(subject="pids", level="warn", text=f"namespace unknown: {error.strerror}")
    if namespace == INITIAL_PID_NAMESPACE:
        return Finding(subject="pids", level="ok", text="the machine's own namespace: every process has its name")
    return Finding(
        subject="pids",
        level="warn",
        text="a namespace of its own: processes outside stay without name, user and container",
        remedy="run the server on the host, or its container with --pid=host",
    )


def power(machine: Machine) -> Iterator[Finding]:
    """Whether GPUs that may sleep are let (runtime D3, mostly of laptops)."""
    addresses = may_sleep(machine.sys)
    if not addresses:
        return
    text = f"{', '.join(addresses)} may sleep when idle"
    if machine.settings.idle_release_seconds:
        seconds = machine.settings.idle_release_seconds
        yield Finding(subject="power", level="ok", text=f"{text}: released when nobody asked for {seconds:g} s")
    else:
        yield Finding(
            subject="power",
            level="warn",
            text=f"{text}; one that sleeps is left alone, but a running server keeps one that is awake from sleeping",
            remedy="blackbox serve --idle-release 5m",
        )


def profiling(machine: Machine) -> Finding:
    """Whether `nsight_metrics` can be had."""
    try:
        parameters = (machine.proc / "driver/nvidia/params").read_text()
    except OSError:
        return Finding(subject="profiling", level="warn", text="no NVIDIA kernel module is loaded here")
    if "RmProfilingAdminOnly: 0" in parameters:
        return Finding(subject="profiling", level="ok", text="hardware counters are open to every user")
    if os.geteuid() == 0:
        return Finding(subject="profiling", level="ok", text="hardware counters are open to root, which we are")
    text = "counters of kernels (blackbox run --ncu) are for root only"
    return Finding(subject="profiling", level="warn", text=text, remedy=ALLOW_PROFILING)


def nsight_compute(machine: Machine) -> Finding:
    """Whether `blackbox run --ncu` finds its profiler, and what that can."""
    found = find_ncu(machine.environ)
    if found is None:
        return Finding(subject="ncu", level="ok", text="no Nsight Compute on PATH; only 'blackbox run --ncu' wants it")
    name = f"Nsight Compute {found.version}" if found.version else f"{found.path}, which does not tell its version,"
    if found.can_attach:
        text = f"{name} starts programs and attaches to running ones (blackbox run --ncu --attach PID)"
    else:
        text = f"{name} measures what it starts; {'.'.join(map(str, ATTACHES_SINCE))} and newer attach as well"
    return Finding(subject="ncu", level="ok", text=text)


def recording(machine: Machine) -> Finding:
    """Whether other users can read what is recorded."""
    directory = machine.settings.data_dir or data_directory(machine.environ)
    try:
        open_files = exposed(directory)
    except FileNotFoundError:
        return Finding(subject="recording", level="ok", text=f"nothing is recorded in {directory} yet")
    except OSError as error:
        return Finding(subject="recording", level="ok", text=f"{directory} is not ours to read: {error.strerror}")
    if not open_files:
        return Finding(subject="recording", level="ok", text=f"{directory} can be read by its owner alone")
    text = f"other users can read {len(open_files)} files in {directory}, such as {open_files[0].name}"
    remedy = f"chmod -R go-rwx {shlex.quote(str(directory))}; 'blackbox serve' does it for its own files"
    return Finding(subject="recording", level="warn", text=text, remedy=remedy)


def file_limit(machine: Machine, hard_limit: int) -> Finding:
    """Whether the streams allowed fit the files allowed."""
    wanted = machine.settings.streams_max + SPARE_FILES
    if hard_limit in (resource.RLIM_INFINITY,) or hard_limit >= wanted:
        return Finding(subject="files", level="ok", text=f"{hard_limit} may be open, {wanted} would be needed at most")
    text = f"{hard_limit} may be open: enough for {max(0, hard_limit - SPARE_FILES)} streams, not {wanted}"
    return Finding(
        subject="files", level="warn", text=text, remedy="ulimit -Hn, or LimitNOFILE= in the unit; or --streams-max"
    )


def kubelet(machine: Machine) -> Iterator[Finding]:
    """Whether the kubelet tells which GPUs pods were given; nothing where there is none, or it shall not be asked."""
    options = machine.settings.source_options
    if NO_KUBELET.of(options):
        return
    hindrance = why_not(options)
    if hindrance:
        remedy = "docs/containers.md tells how a server may ask it; nothing else depends on that"
        yield Finding(subject="kubelet", level="ok", text=hindrance, remedy=remedy)
    elif hindrance is None:
        devices = cache(lambda: machine.sample().devices)  # the driver is asked where a name takes its list
        sample = KubeletSource(KUBELET_SOCKET.of(options), devices, proc=machine.proc).sample()
        level: Level = "ok" if sample.state == "ok" else "warn"
        yield Finding(subject="kubelet", level=level, text=sample.reason or sample.facts[ANSWER.key])


def fleet(machine: Machine) -> Iterator[Finding]:
    """Whether the fleet's database takes a row as servers write it, and gives it back."""
    if machine.settings.fleet is None:
        return
    from blackbox.fleet.ddl import TableLayout
    from blackbox.fleet.setup import probe
    from blackbox.fleet.wiring import access_of

    try:
        access = access_of(machine.settings)
        probe(access, TableLayout(access.database), SERVER_SECONDS_MAX)
    except BlackboxError as error:
        remedy = "make the tables with 'blackbox fleet init'; docs/fleet.md tells of users and certificates"
        yield Finding(subject="fleet", level="fail", text=str(error), remedy=remedy)
    else:
        yield Finding(subject="fleet", level="ok", text=f"{access.url} takes rows, and gives them back")


def server(machine: Machine) -> Finding:
    """Who has the port."""
    url = local_url(machine.settings)
    try:
        snapshot = Client(url, timeout_seconds=SERVER_SECONDS_MAX).snapshot(blocks="none")
    except UnreachableError as error:
        if isinstance(error.__cause__, ConnectionRefusedError):
            return Finding(subject="server", level="ok", text=f"none at {url}, the port is free")
        return Finding(subject="server", level="fail", text=str(error), remedy="stop it, or serve on another port")
    except StatusError as error:
        return Finding(subject="server", level="ok", text=str(error))
    except ClientError as error:
        return Finding(subject="server", level="fail", text=str(error), remedy="stop it, or serve on another port")
    kind = "a simulated machine" if snapshot.simulated else f"{len(snapshot.gpus)} GPUs"
    return Finding(subject="server", level="ok", text=f"{url} answers for {kind}, sample {snapshot.seq}")


def named_server(machine: Machine) -> Iterator[Finding]:
    """The server that other commands ask instead of this machine's, where the environment names one."""
    url = named_url(machine.environ)
    if url is None:
        return
    try:
        snapshot = Client(url, timeout_seconds=SERVER_SECONDS_MAX).snapshot(blocks="none")
    except StatusError as error:
        yield Finding(subject=URL_VARIABLE, level="ok", text=str(error))
    except BlackboxError as error:
        remedy = f"the commands ask it because {URL_VARIABLE} names it: start it, or unset the variable"
        yield Finding(subject=URL_VARIABLE, level="warn", text=str(error), remedy=remedy)
    else:
        shown = without_password(url)
        yield Finding(
            subject=URL_VARIABLE, level="ok", text=f"{shown} answers for {snapshot.host}; the commands ask it"
        )


def inside(machine: Machine) -> Iterator[Finding]:
    """Which programs report to the server from inside, and which engines it found; nothing where none answers."""
    try:
        client = Client(named_url(machine.environ) or local_url(machine.settings), timeout_seconds=SERVER_SECONDS_MAX)
        processes, engines = client.coverage(), client.snapshot(blocks="none").engines
    except BlackboxError:
        return
    silent = [one for one in processes if not one.sources]
    text = f"{len(processes) - len(silent)} of {len(processes)} processes on GPUs report from inside"
    remedy = "'blackbox agents' tells of each what it leaves out, and why" if silent else None
    yield Finding(subject="agents", level="ok", text=text, remedy=remedy)
    if engines:
        names = ", ".join(f"{engine.kind} (pid {engine.pid})" for engine in engines)
        yield Finding(subject="engines", level="ok", text=names)
