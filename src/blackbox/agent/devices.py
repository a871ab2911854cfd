"""Names of CUDA and HIP devices, from the driver library that the program has loaded already."""

from __future__ import annotations

import ctypes
import os
import uuid
from typing import NamedTuple

from blackbox.agent.libraries import path_of

LIBRARY = "libcuda.so.1"
UUID_BYTES = 16
HIP_LIBRARY = "libamdhip64.so"
"""The file name continues with the version of ROCm."""
PCI_DEVICES = "/sys/bus/pci/devices"
PCI_ADDRESS_BYTES_MAX = 64


class Chip(NamedTuple):
    """The limits of a GPU, as the driver reports them."""

    multiprocessors: int
    threads: int
    """Per multiprocessor; so are the next three."""
    blocks: int
    registers: int
    shared_bytes: int
    shared_reserved_bytes: int
    """Of each block, for the system."""
    major: int
    """Of the compute capability."""


def uuid_of(ordinal: int, library: str = LIBRARY) -> str | None:
    """`GPU-…` or `MIG-…` as NVML spells it, of the program's device number `ordinal`, or as the source of AMD's GPUs
    does; None where it is not known.

    The library is not loaded for this, and CUDA not initialised: ask once the program has done both.
    """
    return _uuid_of_cuda(ordinal, library) or uuid_of_hip(ordinal)


def uuid_of_hip(ordinal: int, pci_devices: str = PCI_DEVICES) -> str | None:
    """`GPU-…` with the unique id of an AMD GPU, `PCI-…` with its address where it has none. As `uuid_of`."""
    path = path_of(HIP_LIBRARY)
    if path is None:
        return None
    address = ctypes.create_string_buffer(PCI_ADDRESS_BYTES_MAX)
    try:
        hip = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL | os.RTLD_NOLOAD)
        if hip.hipDeviceGetPCIBusId(address, ctypes.c_int(len(address)), ctypes.c_int(ordinal)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    pci = address.value.decode("ascii", "replace").lower()
    unique_id = _unique_id(f"{pci_devices}/{pci}/unique_id")
    return f"GPU-{unique_id}" if unique_id else f"PCI-{pci}"


def _unique_id(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - `pathlib` would be imported for it
            text = file.read().strip()
    except OSError:
        return None
    digits = text.rjust(16, "0")
    return digits if len(digits) == 16 and set(digits) <= set("0123456789abcdef") and digits.strip("0") else None


def _uuid_of_cuda(ordinal: int, library: str) -> str | None:
    try:
        cuda = ctypes.CDLL(library, mode=ctypes.RTLD_LOCAL | os.RTLD_NOLOAD)
        device = ctypes.c_int()
        if cuda.cuDeviceGet(ctypes.byref(device), ctypes.c_int(ordinal)) != 0:
            return None
        of_gpu = _uuid(cuda, "cuDeviceGetUuid", device)
        of_instance = _uuid(cuda, "cuDeviceGetUuid_v2", device)
    except (OSError, AttributeError):
        return None
    # version 2 names the instance where the device is one, the first version always the GPU
    if of_instance is not None and of_instance != of_gpu:
        return f"MIG-{of_instance}"
    return None if of_gpu is None else f"GPU-{of_gpu}"


def in_use(library: str = LIBRARY) -> list[int]:
    """The program's device numbers on which it has set up CUDA (their primary context lives); none before it has.

    The library is not loaded for this, and no device is set up.
    """
    count, device, flags, active = ctypes.c_int(), ctypes.c_int(), ctypes.c_uint(), ctypes.c_int()
    try:
        cuda = ctypes.CDLL(library, mode=ctypes.RTLD_LOCAL | os.RTLD_NOLOAD)
        if cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return []
        ask = cuda.cuDevicePrimaryCtxGetState
    except (OSError, AttributeError):
        return []
    return [
        ordinal
        for ordinal in range(count.value)
        if cuda.cuDeviceGet(ctypes.byref(device), ctypes.c_int(ordinal)) == 0
        and ask(device, ctypes.byref(flags), ctypes.byref(active)) == 0
        and active.value
    ]


ATTRIBUTES = (16, 39, 106, 82, 81, 111, 75)
"""CU_DEVICE_ATTRIBUTE_*, in the order of `Chip`: number of multiprocessors; per multiprocessor threads, blocks,
registers, shared memory; shared memory reserved per block; major compute capability."""


def chip_of(ordinal: int, library: str = LIBRARY) -> Chip | None:
    """The limits of the program's device number `ordinal`; None where the driver does not report one. As `uuid_of`."""
    device, value = ctypes.c_int(), ctypes.c_int()
    values: list[int] = []
    try:
        cuda = ctypes.CDLL(library, mode=ctypes.RTLD_LOCAL | os.RTLD_NOLOAD)
        if cuda.cuDeviceGet(ctypes.byref(device), ctypes.c_int(ordinal)) != 0:
            return None
        for attribute in ATTRIBUTES:
            if cuda.cuDeviceGetAttribute(ctypes.byref(value), ctypes.c_int(attribute), device) != 0:
                return None
            values.append(value.value)
    except (OSError, AttributeError):
        return None
    return Chip(*values)


def _uuid(cuda: ctypes.CDLL, function: str, device: ctypes.c_int) -> uuid.UUID | None:
    buffer = ctypes.create_string_buffer(UUID_BYTES)
    if getattr(cuda, function)(buffer, device) != 0:
        return None
    return uuid.UUID(bytes=buffer.raw)
