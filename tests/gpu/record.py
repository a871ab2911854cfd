"""`python -m tests.gpu.record FOLDER`: writes down what a real GPU and its driver say, for tests without one.

The folder gets a subfolder named after GPU and driver. Serial numbers and UUIDs of the card are replaced.
"""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml as nvml

from tests.gpu.rig import PROGRAMS, ROOT, Program, Server, reports

UUID = "GPU-00000000-4000-8000-0000-000000000000"
SMI_GPU = "name,driver_version,memory.total,memory.reserved,memory.used,memory.free"
SMI_APPS = "pid,used_memory"
TAKEN_MIB = 2048
NCU_COLUMNS_LEFT_OUT = ("Host Name",)
NCU_SECONDS_MAX = 180


def main() -> None:
    nvml.nvmlInit()
    device = nvml.nvmlDeviceGetHandleByIndex(0)
    name, driver = nvml.nvmlDeviceGetName(device), nvml.nvmlSystemGetDriverVersion()
    folder = Path(sys.argv[1]) / f"{slug(name)}-{driver}"
    folder.mkdir(parents=True, exist_ok=True)
    for part in (driver_states, torch_snapshot, answer, ncu_table):
        try:
            part(folder, device)
        except Exception as error:
            print(f"{part.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
    print("\n".join(f"{path.name} {path.stat().st_size}" for path in sorted(folder.iterdir())))


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("nvidia ")).strip("-")


def driver_states(folder: Path, device: Any) -> None:
    """The driver's raw answers and nvidia-smi's figures, idle and with one and two programs on the GPU."""
    states = {"idle": driver_state(device)}
    with Program(sys.executable, "driver_memory.py", TAKEN_MIB):
        states["one program"] = driver_state(device)
        with Program(sys.executable, "driver_memory.py", TAKEN_MIB // 2):
            states["two programs"] = driver_state(device)
    facts = {
        "name": nvml.nvmlDeviceGetName(device),
        "driver_version": nvml.nvmlSystemGetDriverVersion(),
        "nvml_version": nvml.nvmlSystemGetNVMLVersion(),
        "cuda_version": nvml.nvmlSystemGetCudaDriverVersion_v2(),
        "calls": {call.__name__: attempt(call, device) for call in ONCE},
        "gpm": attempt(lambda device: nvml.nvmlGpmQueryDeviceSupport(device).isSupportedDevice, device),
        "states": states,
    }
    write_json(folder / "nvml.json", facts)


ONCE: tuple[Callable[..., Any], ...] = (
    nvml.nvmlDeviceGetMigMode,
    nvml.nvmlDeviceGetMemoryBusWidth,
    nvml.nvmlDeviceGetSupportedEventTypes,
    nvml.nvmlDeviceGetCudaComputeCapability,
    nvml.nvmlDeviceGetPersistenceMode,
    nvml.nvmlDeviceGetAccountingMode,
    nvml.nvmlDeviceGetNumGpuCores,
)
LISTS: tuple[Callable[..., Any], ...] = (
    nvml.nvmlDeviceGetComputeRunningProcesses_v3,
    nvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
    nvml.nvmlDeviceGetMPSComputeRunningProcesses_v3,
)


def driver_state(device: Any) -> dict[str, Any]:
    time.sleep(1)
    v1 = nvml.nvmlDeviceGetMemoryInfo(device)
    v2 = nvml.nvmlDeviceGetMemoryInfo(device, version=nvml.nvmlMemory_v2)
    return {
        "memory_v1": {"total": v1.total, "used": v1.used, "free": v1.free},
        "memory_v2": {"total": v2.total, "reserved": v2.reserved, "used": v2.used, "free": v2.free},
        **{call.__name__: [[row.pid, row.usedGpuMemory] for row in call(device)] for call in LISTS},
        "temperature": nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
        "power_milliwatts": nvml.nvmlDeviceGetPowerUsage(device),
        "nvidia_smi": nvidia_smi(SMI_GPU, "gpu"),
        "nvidia_smi_apps": nvidia_smi(SMI_APPS, "compute-apps"),
    }


def attempt(call: Callable[..., Any], device: Any) -> Any:
    try:
        return call(device)
    except nvml.NVMLError as error:
        return {"error": error.value}


def nvidia_smi(query: str, of: str) -> list[dict[str, str]]:
    command = ["nvidia-smi", f"--query-{of}={query}", "--format=csv,noheader,nounits"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [dict(zip(query.split(","), map(str.strip, line), strict=True)) for line in csv.reader(io.StringIO(text))]


def torch_snapshot(folder: Path, _: Any) -> None:
    command = [sys.executable, str(PROGRAMS / "snapshot.py"), str(folder / "torch-snapshot.pickle")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    write_json(folder / "torch-snapshot.json", json.loads(told))


def answer(folder: Path, device: Any) -> None:
    """The server's answer about a training program with the agent in it, and what PyTorch says of itself."""
    with (
        tempfile.TemporaryDirectory() as home,
        Server(Path(home)) as server,
        Program(sys.executable, "training.py", socket=server.socket, extras="threads") as program,
    ):
        held = program.facts["allocated_bytes"]
        vram = server.wait_for(reports(program.pid, held))
        vram["host"] = "host"
        write_json(folder / "vram.json", {"program": program.facts, "pid": program.pid, "vram": vram})


def ncu_table(folder: Path, _: Any) -> None:
    """The report of `blackbox run --ncu` as a table."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))),
        }
        command = [sys.executable, "-m", "blackbox", "run", "--ncu", "--", sys.executable, str(PROGRAMS / "kernels.py")]
        ran = subprocess.run(
            command, cwd=home, env=environment, check=True, timeout=NCU_SECONDS_MAX, capture_output=True, text=True
        )
        told = next(line for line in ran.stdout.splitlines() if line.startswith("{"))
        write_json(folder / "ncu-kernels.json", json.loads(told))
        (report,) = Path(home).glob("*.ncu-rep")
        table = subprocess.run(
            ["ncu", "--import", str(report), "--csv", "--page", "raw", "--print-units", "base"],
            capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    for row in rows:
        row.update({column: "left out" for column in NCU_COLUMNS_LEFT_OUT if row.get("ID")})
        row["Process Name"] = Path(row["Process Name"]).name
    with (folder / "ncu-kernels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=1)
    text = re.sub(r"(GPU|MIG)-[0-9a-f]{8}-[0-9a-f-]{27}", UUID, text)
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
