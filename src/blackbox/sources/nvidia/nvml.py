"""What NVIDIA's driver library takes and gives, as its header has it: codes, numbers and structures, those that we use.
NVIDIA's own bindings declare a hundred times as much, which is 2.8 MiB in a process (docs/decisions/0014-nvml.md); a
test holds these to them. Constants and fields have the header's names."""

from ctypes import (
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_uint,
    c_ulonglong,
    c_void_p,
)

NVML_SUCCESS = 0
NVML_ERROR_UNINITIALIZED = 1
NVML_ERROR_INVALID_ARGUMENT = 2
NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NO_PERMISSION = 4
NVML_ERROR_ALREADY_INITIALIZED = 5
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_INSUFFICIENT_SIZE = 7
NVML_ERROR_INSUFFICIENT_POWER = 8
NVML_ERROR_DRIVER_NOT_LOADED = 9
NVML_ERROR_TIMEOUT = 10
NVML_ERROR_IRQ_ISSUE = 11
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_ERROR_FUNCTION_NOT_FOUND = 13
NVML_ERROR_CORRUPTED_INFOROM = 14
NVML_ERROR_GPU_IS_LOST = 15
NVML_ERROR_RESET_REQUIRED = 16
NVML_ERROR_OPERATING_SYSTEM = 17
NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18
NVML_ERROR_IN_USE = 19
NVML_ERROR_MEMORY = 20
NVML_ERROR_NO_DATA = 21
NVML_ERROR_VGPU_ECC_NOT_SUPPORTED = 22
NVML_ERROR_INSUFFICIENT_RESOURCES = 23
NVML_ERROR_FREQ_NOT_SUPPORTED = 24
NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25
NVML_ERROR_DEPRECATED = 26
NVML_ERROR_NOT_READY = 27
NVML_ERROR_GPU_NOT_FOUND = 28
NVML_ERROR_INVALID_STATE = 29
NVML_ERROR_RESET_TYPE_NOT_SUPPORTED = 30
NVML_ERROR_UNKNOWN = 999

NVML_CLOCK_MEM = 2
NVML_DEVICE_ADDRESSING_MODE_HMM = 1
NVML_DEVICE_ADDRESSING_MODE_ATS = 2
NVML_DEVICE_MIG_ENABLE = 1
NVML_DEVICE_MEMORY_LIMIT_MAX = 2**64 - 1
NVML_TEMPERATURE_GPU = 0
NVML_DEVICE_UUID_V2_BUFFER_SIZE = 96
NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE = 80
NVML_GPM_METRICS_GET_VERSION = 1
NVML_GPM_SUPPORT_VERSION = 1
NVML_GPM_METRIC_SM_OCCUPANCY = 3
NVML_GPM_METRIC_DRAM_BW_UTIL = 10
NVML_GPM_METRIC_MAX = 477

nvmlEventTypeDoubleBitEccError = 0x2  # noqa: N816
nvmlEventTypeXidCriticalError = 0x8  # noqa: N816
nvmlEventTypeDramRetirementEvent = 0x400  # noqa: N816
nvmlEventTypeDramRetirementFailure = 0x800  # noqa: N816

nvmlDeviceAddressingMode_v1 = 0x1000008  # noqa: N816
nvmlMemory_v2 = 0x2000028  # noqa: N816
nvmlTemperature_v1 = 0x100000C  # noqa: N816
"""Versions of a structure: which one, and its size."""


class AddressingMode(Structure):
    """`nvmlDeviceAddressingMode_t`."""

    _fields_ = (("version", c_uint), ("value", c_uint))


class MemoryLimits(Structure):
    """`nvmlGetMemoryLimits_v1_t`."""

    _fields_ = (
        ("nameSpace", c_char_p),
        ("softLimit", c_ulonglong),
        ("hardLimit", c_ulonglong),
        ("currentUsed", c_ulonglong),
    )


class EventData(Structure):
    """`nvmlEventData_t`."""

    _fields_ = (
        ("device", c_void_p),
        ("eventType", c_ulonglong),
        ("eventData", c_ulonglong),
        ("gpuInstanceId", c_uint),
        ("computeInstanceId", c_uint),
    )


class _MetricInfo(Structure):
    """What `nvmlGpmMetric_t` has inside."""

    _fields_ = (("shortName", c_char_p), ("longName", c_char_p), ("unit", c_char_p))


class GpmMetric(Structure):
    """`nvmlGpmMetric_t`."""

    _fields_ = (("metricId", c_uint), ("nvmlReturn", c_uint), ("value", c_double), ("metricInfo", _MetricInfo))


class GpmMetrics(Structure):
    """`nvmlGpmMetricsGet_t`."""

    _fields_ = (
        ("version", c_uint),
        ("numMetrics", c_uint),
        ("sample1", c_void_p),
        ("sample2", c_void_p),
        ("metrics", GpmMetric * NVML_GPM_METRIC_MAX),
    )


class GpmSupport(Structure):
    """`nvmlGpmSupport_t`."""

    _fields_ = (("version", c_uint), ("isSupportedDevice", c_uint))


class MemoryV1(Structure):
    """`nvmlMemory_t`."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class MemoryV2(Structure):
    """`nvmlMemory_v2_t`."""

    _fields_ = (
        ("version", c_uint),
        ("total", c_ulonglong),
        ("reserved", c_ulonglong),
        ("free", c_ulonglong),
        ("used", c_ulonglong),
    )


class Temperature(Structure):
    """`nvmlTemperature_v1_t`."""

    _fields_ = (("version", c_uint), ("sensorType", c_uint), ("temperature", c_int))


class Utilization(Structure):
    """`nvmlUtilization_t`."""

    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class PciInfo(Structure):
    """`nvmlPciInfo_t`."""

    _fields_ = (
        ("busIdLegacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("pciDeviceId", c_uint),
        ("pciSubSystemId", c_uint),
        ("busId", c_char * 32),
    )
