"""NVIDIA's driver library as it is installed here: its bindings, whose pids it lists, who may read its counters."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from blackbox.model.facts import ProfilingAccess

NEEDED = (
    "NVMLError", "NVML_CLOCK_MEM", "NVML_DEVICE_ADDRESSING_MODE_ATS", "NVML_DEVICE_ADDRESSING_MODE_HMM",
    "NVML_DEVICE_MIG_ENABLE", "NVML_DEVICE_UUID_V2_BUFFER_SIZE", "c_nvmlDeviceAddressingMode_t",
    "NVML_DEVICE_MEMORY_LIMIT_MAX", "c_nvmlGetMemoryLimits_v1_t",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH", "NVML_ERROR_CORRUPTED_INFOROM", "NVML_ERROR_DEPRECATED",
    "NVML_ERROR_DRIVER_NOT_LOADED", "NVML_ERROR_FREQ_NOT_SUPPORTED", "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_GPU_IS_LOST", "NVML_ERROR_GPU_NOT_FOUND", "NVML_ERROR_INSUFFICIENT_SIZE", "NVML_ERROR_IRQ_ISSUE",
    "NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_LIB_RM_VERSION_MISMATCH", "NVML_ERROR_NOT_FOUND",
    "NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_NO_PERMISSION", "NVML_ERROR_RESET_REQUIRED",
    "NVML_ERROR_RESET_TYPE_NOT_SUPPORTED", "NVML_ERROR_TIMEOUT", "NVML_ERROR_UNINITIALIZED", "NVML_ERROR_UNKNOWN",
    "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED", "NVML_GPM_METRICS_GET_VERSION", "NVML_GPM_METRIC_DRAM_BW_UTIL",
    "NVML_GPM_METRIC_SM_OCCUPANCY", "NVML_GPM_SUPPORT_VERSION", "NVML_SUCCESS",
    "NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE", "NVML_TEMPERATURE_GPU", "c_nvmlEventData_t", "c_nvmlGpmMetricsGet_t",
    "c_nvmlGpmSample_t", "c_nvmlGpmSupport_t", "c_nvmlMemory_t", "c_nvmlMemory_v2_t", "c_nvmlTemperature_v1_t",
    "c_nvmlUtilization_t", "nvmlEventTypeDoubleBitEccError", "nvmlEventTypeDramRetirementEvent",
    "nvmlEventTypeDramRetirementFailure", "nvmlEventTypeXidCriticalError", "nvmlInitWithFlags", "nvmlLib",
    "nvmlMemory_v2", "nvmlPciInfo_t", "nvmlShutdown", "nvmlTemperature_v1",
)  # fmt: skip
"""All that we use of the bindings."""


OWN_PACKAGE = "nvidia-ml-py"
SEARCH = "ctypes.util"
"""A module that the bindings import and do not use. It brings in `subprocess`, `tempfile` and what these need: 2 MiB in
a process that has nothing else."""


def _import_bindings() -> Any:
    """The bindings, without `SEARCH`. Raises `ImportError`."""
    if SEARCH in sys.modules or "pynvml" in sys.modules:
        import pynvml  # pyright: ignore[reportMissingTypeStubs]: NVIDIA ships none

        return pynvml
    stand_in = ModuleType(SEARCH)
    stand_in.__dict__["find_library"] = str
    sys.modules[SEARCH] = stand_in
    try:
        import pynvml  # pyright: ignore[reportMissingTypeStubs]

        return pynvml
    finally:
        del sys.modules[SEARCH]


def checked(bindings: Any) -> Any:
    """The bindings. Raises `ImportError` where they are too old, or another package of that name lies in their place,
    which an old `pynvml` does whatever the order of installation."""
    missing = next((name for name in NEEDED if not hasattr(bindings, name)), None)
    if missing is None:
        return bindings
    file = str(bindings.__file__)
    package = _package_of(file)
    if package is not None and package[0] == OWN_PACKAGE:
        raise ImportError(
            f"{file} is of {OWN_PACKAGE} {package[1]}, which is too old (it has no {missing}):"
            f" run 'pip install --upgrade {OWN_PACKAGE}'"
        )
    name, version = package or ("pynvml", "")
    of = f" but of {name} {version}" if package else ""
    raise ImportError(
        f"{file} is not NVIDIA's own module{of} (it has no {missing}), and hides it:"
        f" run 'pip uninstall {name}', then 'pip install --force-reinstall {OWN_PACKAGE}'"
    )


def _package_of(file: str) -> tuple[str, str] | None:
    """(name, version) of the installed package that a module's file is of; None where none has it."""
    from importlib.metadata import distributions

    path = Path(file).resolve()
    for found in distributions():
        for part in found.files or ():
            if part.name == path.name and Path(str(found.locate_file(part))).resolve() == path:
                return found.name, found.version
    return None


nvml: Any = checked(_import_bindings())
"""The bindings, which carry no types: the one place where they are taken for granted."""
TRANSLATING_DRIVER = (565, 57, 1)
"""From this version on the driver answers in the caller's pid namespace throughout."""
PARAMETERS = "driver/nvidia/params"
_ADMINISTRATORS, _EVERYONE = "RmProfilingAdminOnly: 1", "RmProfilingAdminOnly: 0"


def pids_are_ours(driver_version: str, sees_host_pids: bool) -> bool:
    """Whether the driver's pids mean the processes that /proc shows here."""
    if sees_host_pids:
        return True
    parts = driver_version.split(".")
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) >= TRANSLATING_DRIVER


def profiling_access(procfs: Path) -> ProfilingAccess:
    """`administrators` or `everyone`, as the kernel module is set; `unknown` where it does not tell."""
    try:
        parameters = (procfs / PARAMETERS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return "unknown"
    if _ADMINISTRATORS in parameters:
        return "administrators"
    return "everyone" if _EVERYONE in parameters else "unknown"
