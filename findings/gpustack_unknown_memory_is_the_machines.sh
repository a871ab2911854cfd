#!/bin/sh
# A GPU whose memory the driver does not tell has the machine's memory in GPUStack, and what the machine uses in use.
#
# Expected: memory that is not known is `None`, as power and temperature are, or the GPU is left out. What happens: an
# error of any kind, be it that this user may not ask, makes 0 MiB, and 0 is taken for a GPU without memory of its own:
# its `memory` is the machine's, swap included, and so is what is in use - on each such GPU again, so that two of them have
# twice the machine's memory. Nothing in the answer says so. An unknown utilization is 0.
# With gpustack-runtime 0.2.6 and nvidia-ml-py 13.615.71.
#
# The driver is a stand-in here, which answers as one that refuses to tell the memory.
#
# So: where such a GPU's size is the machine's, its figures are the machine's; they are not compared with a driver's, and
# not added up.

. "$(dirname "$0")/evidence.sh"

install nvidia-ml-py==13.615.71 mthreads-ml-py==2.4.3 dataclasses-json==0.6.7 pyyaml==6.0.4
install --no-deps gpustack-runtime==0.2.6
GPUSTACK_RUNTIME_DETECT_NO_PCI_CHECK=1
export GPUSTACK_RUNTIME_DETECT_NO_PCI_CHECK
evidence <<'PYTHON'
from types import SimpleNamespace

from evidence import Evidence


from gpustack_runtime.detector.nvidia import NVIDIADetector, pynvml


def refused(error: int):
    def ask(*arguments: object, **named: object) -> None:
        raise pynvml.NVMLError(error)

    return ask


def with_driver(memory_error: int) -> list[tuple[int, int, float]]:
    """Size, use and utilization of two GPUs, in MiB and percent, where the driver answers the memory by this error."""
    for name in dir(pynvml):
        if name.startswith(("nvmlDeviceGet", "nvmlGpm")):
            setattr(pynvml, name, refused(pynvml.NVML_ERROR_NOT_SUPPORTED))
    answers = {
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "595.45",
        "nvmlSystemGetCudaDriverVersion": lambda: 13020,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetCudaComputeCapability": lambda device: (9, 0),
        "nvmlDeviceGetPciInfo": lambda device: SimpleNamespace(busIdLegacy=f"0000:0{device}:00.0"),
        "nvmlDeviceGetName": lambda device: "NVIDIA H100",
        "nvmlDeviceGetUUID": lambda device: f"GPU-{device}",
        "nvmlDeviceGetMemoryInfo": refused(memory_error),
    }
    for name, answer in answers.items():
        setattr(pynvml, name, answer)
    return [(gpu.memory, gpu.memory_used, gpu.cores_utilization) for gpu in NVIDIADetector().detect_usage()]


with open("/proc/meminfo") as file:
    kib = {line.split(":")[0]: int(line.split()[1]) for line in file}
machine = (kib["MemTotal"] + kib["SwapTotal"]) >> 10

evidence = Evidence()
for what in ("NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_NO_PERMISSION", "NVML_ERROR_UNKNOWN"):
    gpus = with_driver(getattr(pynvml, what))
    evidence.see(f"{what}: each has the machine's memory", [size == machine for size, _, _ in gpus], [True, True])
    evidence.see("some of it is in use", [0 < used < size for size, used, _ in gpus], [True, True])
    evidence.see("utilization", [busy for _, _, busy in gpus], [0, 0])
evidence.close()
PYTHON
