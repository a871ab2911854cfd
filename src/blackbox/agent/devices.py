"""Names of CUDA devices, from the driver library that the program has loaded already."""

from __future__ import annotations

import ctypes
import os
import uuid

LIBRARY = "libcuda.so.1"
UUID_BYTES = 16


def uuid_of(ordinal: int, library: str = LIBRARY) -> str | None:
    """`GPU-…` or `MIG-…` as NVML spells it, of the program's device number `ordinal`; None where it cannot be told.

    The library is not loaded for this, and CUDA not initialised: ask once the program has done both.
    """
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


def _uuid(cuda: ctypes.CDLL, function: str, device: ctypes.c_int) -> uuid.UUID | None:
    buffer = ctypes.create_string_buffer(UUID_BYTES)
    if getattr(cuda, function)(buffer, device) != 0:
        return None
    return uuid.UUID(bytes=buffer.raw)
