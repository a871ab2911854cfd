"""CUDA's numbers of the GPUs, without a context on any of them."""

import ctypes
import os
import uuid

LIBRARY = "libcuda.so.1"
HIDING = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""What an administrator sets for programs; this process looks at all of the machine."""


class CudaError(Exception):
    """Its text says what CUDA refused, for people."""


def ordinals() -> dict[str, int]:
    """UUID, as NVML spells it, of each GPU that CUDA knows -> its number there. Raises `CudaError`."""
    for variable in HIDING:
        os.environ.pop(variable, None)
    count, device = ctypes.c_int(), ctypes.c_int()
    text = ctypes.create_string_buffer(16)
    found: dict[str, int] = {}
    try:
        cuda = ctypes.CDLL(LIBRARY)
        _check("cuInit", cuda.cuInit(0))
        _check("cuDeviceGetCount", cuda.cuDeviceGetCount(ctypes.byref(count)))
        for ordinal in range(count.value):
            _check("cuDeviceGet", cuda.cuDeviceGet(ctypes.byref(device), ctypes.c_int(ordinal)))
            _check("cuDeviceGetUuid", cuda.cuDeviceGetUuid(text, device))
            found[f"GPU-{uuid.UUID(bytes=text.raw)}"] = ordinal
    except (OSError, AttributeError) as error:
        raise CudaError(f"{LIBRARY}: {error}") from None
    return found


def _check(call: str, code: int) -> None:
    if code != 0:
        raise CudaError(f"{call} failed with {code}")
