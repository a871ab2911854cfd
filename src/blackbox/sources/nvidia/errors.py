"""What an error code of the driver library means for us, and what to do about it. Pure tables."""

from enum import Enum
from typing import NamedTuple

from blackbox.model.status import SourceState
from blackbox.sources.nvidia import nvml


class Fault(Enum):
    """Why there is no value, by what has to happen before there may be one."""

    PERMANENT = "permanent"
    """This device will never answer this call: not made again."""
    DENIED = "denied"
    """Until privileges change: asked again every few minutes."""
    DEVICE_GONE = "device_gone"
    """The device is lost, the others go on; probed slowly."""
    LIBRARY_GONE = "library_gone"
    """Nothing answers before the library was opened again."""
    TRANSIENT = "transient"
    """The last value stands, with its age; asked again at the next tick."""
    INVALID = "invalid"
    """The driver answered what cannot be; treated like a transient fault."""
    QUARANTINED = "quarantined"
    """The call hung or crashed before: not made until the supervisor allows it."""


class Failure(NamedTuple):
    """A call that gave no value."""

    fault: Fault
    reason: str
    code: int = 0
    """The driver's error code; 0 where the driver did not name one."""


class LibraryGoneError(Exception):
    """The library has to be opened again before any call can succeed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Absence(NamedTuple):
    """State of the source while the library does not answer."""

    state: SourceState
    reason: str


SUCCESS: int = nvml.NVML_SUCCESS
FUNCTION_NOT_FOUND: int = nvml.NVML_ERROR_FUNCTION_NOT_FOUND
INSUFFICIENT_SIZE: int = nvml.NVML_ERROR_INSUFFICIENT_SIZE
TIMEOUT: int = nvml.NVML_ERROR_TIMEOUT
UNINITIALIZED: int = nvml.NVML_ERROR_UNINITIALIZED
UNKNOWN: int = nvml.NVML_ERROR_UNKNOWN
UNLOADABLE = -1
"""Ours, not the driver's: the loader found the library, and refused it."""

_PERMANENT = (
    nvml.NVML_ERROR_NOT_SUPPORTED,
    nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    nvml.NVML_ERROR_CORRUPTED_INFOROM,
    nvml.NVML_ERROR_VGPU_ECC_NOT_SUPPORTED,
    nvml.NVML_ERROR_FREQ_NOT_SUPPORTED,
    nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    nvml.NVML_ERROR_DEPRECATED,
    nvml.NVML_ERROR_RESET_TYPE_NOT_SUPPORTED,
)
_DEVICE_GONE = (
    nvml.NVML_ERROR_IRQ_ISSUE,
    nvml.NVML_ERROR_GPU_IS_LOST,
    nvml.NVML_ERROR_RESET_REQUIRED,
    nvml.NVML_ERROR_GPU_NOT_FOUND,
)
_LIBRARY_GONE = (
    nvml.NVML_ERROR_UNINITIALIZED,
    nvml.NVML_ERROR_DRIVER_NOT_LOADED,
    nvml.NVML_ERROR_LIBRARY_NOT_FOUND,
    nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
)
_FAULTS: dict[int, Fault] = {
    **dict.fromkeys(_PERMANENT, Fault.PERMANENT),
    nvml.NVML_ERROR_NO_PERMISSION: Fault.DENIED,
    **dict.fromkeys(_DEVICE_GONE, Fault.DEVICE_GONE),
    **dict.fromkeys(_LIBRARY_GONE, Fault.LIBRARY_GONE),
}
_PREFIX = "NVML_ERROR_"
_NAMES: dict[int, str] = {
    getattr(nvml, name): name.removeprefix(_PREFIX) for name in dir(nvml) if name.startswith(_PREFIX)
}
_ABSENCES: dict[int, Absence] = {
    nvml.NVML_ERROR_LIBRARY_NOT_FOUND: Absence(
        "no_driver", "libnvidia-ml.so.1 not found: install the NVIDIA driver, or give the container its libraries"
    ),
    nvml.NVML_ERROR_DRIVER_NOT_LOADED: Absence(
        "no_driver", "the NVIDIA kernel module is not loaded: run 'modprobe nvidia', then look into dmesg"
    ),
    nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Absence(
        "version_mismatch",
        "driver library and kernel module differ in version, as after an upgrade: reload the module or reboot",
    ),
    nvml.NVML_ERROR_NO_PERMISSION: Absence(
        "no_access", "no permission to talk to the driver: check the rights on /dev/nvidia*"
    ),
    nvml.NVML_ERROR_UNKNOWN: Absence(
        "no_access",
        "the driver refuses to initialise (UNKNOWN): in a container, 'systemctl daemon-reload' on the host takes"
        " away /dev/nvidia*; restart the container",
    ),
}


def fault_of(code: int) -> Fault:
    """Class of an error code. A code that nobody documented is taken for transient."""
    return _FAULTS.get(code, Fault.TRANSIENT)


def failure_of(call: str, code: int) -> Failure:
    """The failure of `call` with the driver's `code`."""
    return Failure(fault_of(code), f"{call}: {_NAMES.get(code, 'undocumented error')} ({code})", code)


def absence_of(failure: Failure) -> Absence:
    """State of the whole source when the library failed this way, with what to do about it."""
    if failure.code == UNLOADABLE:
        return Absence("no_driver", failure.reason)
    return _ABSENCES.get(failure.code) or Absence("failed", failure.reason)
