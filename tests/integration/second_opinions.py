"""Child program of the differential test: what gpustat and nvitop say, one JSON line for each line on stdin.

A process of its own because gpustat replaces functions of the NVIDIA bindings when it is imported. Bytes by process and
device; gpustat has MiB, rounded down.
"""

import json
import sys
import time
from typing import Any

import gpustat
import nvitop


def ask_gpustat() -> dict[str, Any]:
    return {
        gpu["uuid"]: {
            "total": gpu["memory.total"],
            "used": gpu["memory.used"],
            "processes": {process["pid"]: process["gpu_memory_usage"] for process in gpu["processes"]},
        }
        for gpu in gpustat.GPUStatCollection.new_query().jsonify()["gpus"]
    }


def ask_nvitop() -> dict[str, Any]:
    readings = {}
    for device in nvitop.Device.all():
        memory = device.memory_info()
        listed = {pid: process.gpu_memory() for pid, process in device.processes().items()}
        readings[device.uuid()] = {
            "total": memory.total,
            "used": memory.used,
            "processes": {pid: used if isinstance(used, int) else None for pid, used in listed.items()},
        }
    return readings


if __name__ == "__main__":
    time.sleep = lambda seconds: None  # gpustat waits 0.1 s for every GPU, to measure the CPU time of its processes
    for _ in sys.stdin:
        print(json.dumps({"gpustat": ask_gpustat(), "nvitop": ask_nvitop()}), flush=True)
