"""What we declare of the driver library is what NVIDIA's own bindings declare."""

from ctypes import Structure, sizeof

import pynvml
import pytest

from blackbox.sources.nvidia import nvml

STRUCTURES = {
    "AddressingMode": "c_nvmlDeviceAddressingMode_t",
    "MemoryLimits": "c_nvmlGetMemoryLimits_v1_t",
    "EventData": "c_nvmlEventData_t",
    "GpmMetric": "c_nvmlGpmMetric_t",
    "GpmMetrics": "c_nvmlGpmMetricsGet_t",
    "GpmSupport": "c_nvmlGpmSupport_t",
    "MemoryV1": "c_nvmlMemory_t",
    "MemoryV2": "c_nvmlMemory_v2_t",
    "Temperature": "c_nvmlTemperature_v1_t",
    "Utilization": "c_nvmlUtilization_t",
    "PciInfo": "nvmlPciInfo_t",
}


def fields(structure: type[Structure]) -> dict[str, tuple[int, int]]:
    """Place and size of each."""
    names = [field[0] for field in structure._fields_]
    return {name: (getattr(structure, name).offset, getattr(structure, name).size) for name in names}


def test_constants_are_theirs() -> None:
    ours = {name: value for name, value in vars(nvml).items() if isinstance(value, int)}
    assert len(ours) > 50
    assert ours == {name: getattr(pynvml, name) for name in ours}


def test_all_their_error_codes_are_named() -> None:
    theirs = {name for name in vars(pynvml) if name.startswith("NVML_ERROR_")}
    assert {name for name in vars(nvml) if name.startswith("NVML_ERROR_")} == theirs


def test_all_structures_are_held_to_theirs() -> None:
    ours = {name for name, value in vars(nvml).items() if isinstance(value, type) and value.__module__ == nvml.__name__}
    assert {name for name in ours if not name.startswith("_")} == set(STRUCTURES)


@pytest.mark.parametrize(("ours", "theirs"), STRUCTURES.items())
def test_structures_lie_in_memory_as_theirs_do(ours: str, theirs: str) -> None:
    one, other = getattr(nvml, ours), getattr(pynvml, theirs)
    assert fields(one) == fields(other)
    assert sizeof(one) == sizeof(other)


def test_theirs_fill_in_no_version_that_ours_would_lack() -> None:
    filled = {ours for ours, theirs in STRUCTURES.items() if any(bytes(getattr(pynvml, theirs)()))}
    assert filled == {"AddressingMode"}  # of which every use here names the version
