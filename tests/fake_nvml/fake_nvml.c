/* A libnvidia-ml.so.1 for tests: answers from the state file named by FAKE_NVML_STATE, and misbehaves as it says there.
 *
 * DRIVER picks the generation whose symbols exist: 580 (today's), 535 (process rows of 32 bytes), 470 (neither *_v3
 * nor memory v2), 450 (process lists of version 1 only). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "live.h"

#ifndef DRIVER
#define DRIVER 580
#endif

enum { MIG_SLOTS = 7, REGISTERED_MAX = 64 };
#define SUPPORTED_EVENTS 0xC40Aull /* double-bit ECC, Xid, DRAM retirement, GPU unavailable, recovery action */
#define EXPORT __attribute__((visibility("default")))

static nvmlReturn_t copy(char *to, unsigned size, const char *from) {
    if (!to) return INVALID_ARGUMENT;
    if (strlen(from) >= size) return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return OK;
}

/* ---- library ---- */

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    ENTER(nvmlInitWithFlags);
    (void)flags;
    note_inits(1);
    return OK;
}

EXPORT nvmlReturn_t nvmlInit_v2(void) {
    ENTER(nvmlInit_v2);
    note_inits(1);
    return OK;
}

EXPORT nvmlReturn_t nvmlShutdown(void) {
    ENTER(nvmlShutdown);
    note_inits(-1);
    return OK;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t code) {
    static const char *const texts[] = {
        "Success", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
        "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power", "Driver Not Loaded",
        "Timeout", "Interrupt Request Issue", "NVML Shared Library Not Found", "Function Not Found",
        "Corrupted infoROM", "GPU is lost", "GPU requires reset", "GPU access blocked by the operating system",
        "Driver/library version mismatch", "In use by another client", "Insufficient Memory", "No data",
        "ECC not supported on vGPU", "Insufficient Resources", "Frequency Not Supported",
        "Argument Version Mismatch", "Deprecated", "Not Ready", "GPU not found", "Invalid State",
    };
    return code >= 0 && (size_t)code < sizeof texts / sizeof *texts ? texts[code] : "Unknown Error";
}

EXPORT nvmlReturn_t nvmlSystemGetDriverVersion(char *to, unsigned size) {
    ENTER(nvmlSystemGetDriverVersion);
    return copy(to, size, machine.driver_version);
}

EXPORT nvmlReturn_t nvmlSystemGetNVMLVersion(char *to, unsigned size) {
    ENTER(nvmlSystemGetNVMLVersion);
    return copy(to, size, machine.nvml_version);
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) {
    ENTER(nvmlSystemGetCudaDriverVersion);
    *version = machine.cuda_version;
    return OK;
}

EXPORT nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER(nvmlSystemGetCudaDriverVersion_v2);
    *version = machine.cuda_version;
    return OK;
}

/* ---- finding devices ---- */

EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER(nvmlDeviceGetCount_v2);
    *count = machine.gpu_count;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *handle) {
    ENTER(nvmlDeviceGetHandleByIndex_v2);
    for (const struct device *device = machine.devices; device < machine.devices + machine.device_count; device++)
        if (!IS_MIG && (unsigned)device->index == index) return give(F_nvmlDeviceGetHandleByIndex_v2, device, handle);
    return INVALID_ARGUMENT;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *handle) {
    ENTER(nvmlDeviceGetHandleByUUID);
    const struct device *device = find(uuid, 0);
    return device ? give(F_nvmlDeviceGetHandleByUUID, device, handle) : NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvmlDevice_t *handle) {
    ENTER(nvmlDeviceGetHandleByPciBusId_v2);
    for (const struct device *device = machine.devices; device < machine.devices + machine.device_count; device++)
        if (!IS_MIG && !strcmp(device->bus, bus)) return give(F_nvmlDeviceGetHandleByPciBusId_v2, device, handle);
    return NOT_FOUND;
}

/* ---- facts of a device ---- */

EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t handle, char *to, unsigned size) {
    ENTER_DEVICE(nvmlDeviceGetName, handle);
    return copy(to, size, device->name);
}

EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t handle, char *to, unsigned size) {
    ENTER_DEVICE(nvmlDeviceGetUUID, handle);
    return copy(to, size, device->uuid);
}

EXPORT nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t handle, unsigned *index) {
    ENTER_DEVICE(nvmlDeviceGetIndex, handle);
    *index = device->index;
    return OK;
}

struct pci_info {
    char legacy_bus[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t handle, struct pci_info *info) {
    ENTER_DEVICE(nvmlDeviceGetPciInfo_v3, handle);
    if (IS_MIG) return NOT_SUPPORTED;
    memset(info, 0, sizeof *info);
    sscanf(device->bus, "%x:%x:%x", &info->domain, &info->bus, &info->device);
    snprintf(info->bus_id, sizeof info->bus_id, "%s", device->bus);
    snprintf(info->legacy_bus, sizeof info->legacy_bus, "%.12s", device->bus + 4); /* its domain has 4 digits */
    return OK;
}

struct memory { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, struct memory *memory) {
    ENTER_DEVICE(nvmlDeviceGetMemoryInfo, handle);
    *memory = (struct memory){device->total, device->v1_free, device->v1_used};
    return OK;
}

#if DRIVER >= 535
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t handle, struct memory_v2 *memory) {
    ENTER_DEVICE(nvmlDeviceGetMemoryInfo_v2, handle);
    if (memory->version != (sizeof *memory | 2 << 24)) return VERSION_MISMATCH;
    *memory = (struct memory_v2){memory->version, device->total, device->reserved, device->free, device->used};
    return OK;
}
#endif

struct utilization { unsigned gpu, memory; };

EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t handle, struct utilization *rates) {
    ENTER_DEVICE(nvmlDeviceGetUtilizationRates, handle);
    if (IS_MIG) return NOT_SUPPORTED;
    *rates = (struct utilization){device->utilization, device->memory_utilization};
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t handle, int sensor, unsigned *celsius) {
    ENTER_DEVICE(nvmlDeviceGetTemperature, handle);
    if (IS_MIG || sensor) return NOT_SUPPORTED;
    *celsius = device->temperature;
    return OK;
}

struct temperature { unsigned version; int sensor, celsius; };

#if DRIVER >= 580
EXPORT nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t handle, struct temperature *temperature) {
    ENTER_DEVICE(nvmlDeviceGetTemperatureV, handle);
    if (temperature->version != (sizeof *temperature | 1 << 24)) return VERSION_MISMATCH;
    if (IS_MIG || temperature->sensor) return NOT_SUPPORTED;
    temperature->celsius = device->temperature;
    return OK;
}
#endif

EXPORT nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t handle, unsigned *milliwatts) {
    ENTER_DEVICE(nvmlDeviceGetPowerUsage, handle);
    if (IS_MIG) return NOT_SUPPORTED;
    *milliwatts = device->power;
    return OK;
}

/* ---- process lists ---- */

struct row_v1 { unsigned pid; unsigned long long used; };
struct row { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };
struct row_r535 { struct row row; unsigned long long protected_used; };

static unsigned list(const struct device *device, enum list_kind kind, unsigned growth, struct row *rows) {
    unsigned count = 0, first = ~0u;
    for (int i = device->processes_start; i < device->processes_end; i++) {
        const struct process *from = &machine.processes[i];
        int is_foreign = from->gpu_instance != device->gpu_instance;
        if (first == ~0u && is_foreign) first = from->gpu_instance;
        if (from->kind != kind || (is_foreign && device->filtered && (device->filtered == 1 || from->gpu_instance != first)))
            continue;
        if (machine.rows_max && count == machine.rows_max) break;
        if (rows) rows[count] = (struct row){from->pid, from->used, from->gpu_instance, from->compute_instance};
        count++;
    }
    unsigned grown = count * growth;
    for (; rows && count < grown; count++)
        rows[count] = (struct row){2 + count, 4096, device->gpu_instance, device->compute_instance};
    return grown;
}

/* `room` is the size of a row in the caller's buffer: what does not fit there is cut, where a driver would overrun. */
static nvmlReturn_t processes(nvmlDevice_t handle, const struct device *device, enum list_kind kind, unsigned *count,
                              char *buffer, size_t row_bytes, size_t room) {
    unsigned growth = handle->list_calls[kind]++ % 2 ? machine.grow : 1;
    unsigned needed = list(device, kind, growth, NULL), given = *count;
    *count = needed;
    if (!needed) return OK;
    if (needed > given || !buffer) return INSUFFICIENT_SIZE;
    struct row *rows = calloc(needed, sizeof *rows);
    char *packed = calloc(needed, row_bytes);
    list(device, kind, growth, rows);
    size_t filled = row_bytes < sizeof *rows ? row_bytes : sizeof *rows;
    for (unsigned i = 0; i < needed; i++) memcpy(packed + i * row_bytes, &rows[i], filled);
    size_t bytes = needed * row_bytes, limit = given * room;
    memcpy(buffer, packed, bytes < limit ? bytes : limit);
    free(packed);
    free(rows);
    return OK;
}

#define PROCESS_LIST(function, kind, row_bytes, room)                                             \
    EXPORT nvmlReturn_t function(nvmlDevice_t handle, unsigned *count, void *rows) {              \
        ENTER_DEVICE(function, handle);                                                           \
        return processes(handle, device, kind, count, rows, row_bytes, room);                     \
    }
#define PROCESS_LISTS(suffix, row_bytes, room)                                                    \
    PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses##suffix, COMPUTE, row_bytes, room)          \
    PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses##suffix, GRAPHICS, row_bytes, room)        \
    PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses##suffix, MPS, row_bytes, room)

PROCESS_LISTS(, sizeof(struct row_v1), sizeof(struct row_v1))
#if DRIVER >= 470
PROCESS_LISTS(_v2, sizeof(struct row), sizeof(struct row))
#endif
#if DRIVER == 535
PROCESS_LISTS(_v3, sizeof(struct row_r535), sizeof(struct row_r535))
#elif DRIVER >= 580
PROCESS_LISTS(_v3, machine.row_bytes ? machine.row_bytes : sizeof(struct row), sizeof(struct row))
/* Its presence beside nvmlDeviceGetConfComputeMemSizeInfo tells callers that rows have 24 bytes again. */
EXPORT nvmlReturn_t nvmlDeviceGetRunningProcessDetailList(nvmlDevice_t handle, void *details) {
    (void)handle, (void)details;
    return NOT_SUPPORTED;
}
#endif

/* ---- MIG ---- */

EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t handle, unsigned *current, unsigned *pending) {
    ENTER_DEVICE(nvmlDeviceGetMigMode, handle);
    if (IS_MIG || device->mig < 0) return NOT_SUPPORTED;
    *current = *pending = device->mig;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t handle, unsigned *count) {
    ENTER_DEVICE(nvmlDeviceGetMaxMigDeviceCount, handle);
    *count = device->mig == 1 ? MIG_SLOTS : 0;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t handle, unsigned index, nvmlDevice_t *mig) {
    ENTER_DEVICE(nvmlDeviceGetMigDeviceHandleByIndex, handle);
    if (device->mig != 1) return NOT_FOUND;
    for (int i = handle->hint + 1; i < machine.device_count && machine.devices[i].parent == handle->hint; i++)
        if ((unsigned)machine.devices[i].index == index)
            return give(F_nvmlDeviceGetMigDeviceHandleByIndex, &machine.devices[i], mig);
    return NOT_FOUND;
}

EXPORT nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t handle, nvmlDevice_t *parent) {
    ENTER_DEVICE(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle);
    if (!IS_MIG) return INVALID_ARGUMENT;
    *parent = handle_of(&machine.devices[device->parent]);
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t handle, unsigned *is_mig) {
    ENTER_DEVICE(nvmlDeviceIsMigDeviceHandle, handle);
    *is_mig = IS_MIG;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t handle, unsigned *id) {
    ENTER_DEVICE(nvmlDeviceGetGpuInstanceId, handle);
    if (!IS_MIG) return NOT_SUPPORTED;
    *id = device->gpu_instance;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t handle, unsigned *id) {
    ENTER_DEVICE(nvmlDeviceGetComputeInstanceId, handle);
    if (!IS_MIG) return NOT_SUPPORTED;
    *id = device->compute_instance;
    return OK;
}

struct attributes {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    unsigned long long memory_mib;
};

EXPORT nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t handle, struct attributes *attributes) {
    ENTER_DEVICE(nvmlDeviceGetAttributes_v2, handle);
    if (!IS_MIG) return NOT_SUPPORTED;
    *attributes = (struct attributes){.multiprocessors = 16 * device->slices,
                                      .copy_engines = 1,
                                      .gpu_slices = device->slices,
                                      .compute_slices = device->slices,
                                      .memory_mib = device->total >> 20};
    return OK;
}

/* ---- events ---- */

typedef struct event_set {
    unsigned long long seen;
    int count;
    struct {
        nvmlDevice_t device;
        unsigned long long types;
    } registered[REGISTERED_MAX];
} *nvmlEventSet_t;

struct event_data { nvmlDevice_t device; unsigned long long type, data; unsigned gpu_instance, compute_instance; };

EXPORT nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t handle, unsigned long long *types) {
    ENTER_DEVICE(nvmlDeviceGetSupportedEventTypes, handle);
    *types = IS_MIG ? 0 : SUPPORTED_EVENTS;
    return OK;
}

EXPORT nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    ENTER(nvmlEventSetCreate);
    *set = calloc(1, sizeof **set);
    for (int i = 0; i < machine.event_count; i++)
        if (machine.events[i].sequence > (*set)->seen) (*set)->seen = machine.events[i].sequence;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t handle, unsigned long long types, nvmlEventSet_t set) {
    ENTER_DEVICE(nvmlDeviceRegisterEvents, handle);
    if (IS_MIG || types & ~SUPPORTED_EVENTS) return NOT_SUPPORTED;
    if (set->count == REGISTERED_MAX) return INVALID_ARGUMENT;
    set->registered[set->count].device = handle;
    set->registered[set->count++].types = types;
    return OK;
}

static const struct event *next_event(nvmlEventSet_t set, nvmlDevice_t *device) {
    for (int i = 0; i < machine.event_count; i++) {
        const struct event *event = &machine.events[i];
        for (int j = 0; event->sequence > set->seen && j < set->count; j++)
            if (set->registered[j].types & event->type && !strcmp(set->registered[j].device->uuid, event->uuid)) {
                *device = set->registered[j].device;
                return event;
            }
    }
    return NULL;
}

EXPORT nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, struct event_data *data, unsigned timeout_ms) {
    ENTER(nvmlEventSetWait_v2);
    for (long left_us = timeout_ms * 1000l;; left_us -= EVENT_POLL_US) {
        nvmlDevice_t device;
        const struct event *event = next_event(set, &device);
        if (event) {
            set->seen = event->sequence;
            *data = (struct event_data){device, event->type, event->data, event->gpu_instance, event->compute_instance};
            return OK;
        }
        if (left_us <= 0) return TIMEOUT;
        pthread_mutex_unlock(&lock);
        sleep_us(left_us < EVENT_POLL_US ? left_us : EVENT_POLL_US);
        pthread_mutex_lock(&lock);
        if (refresh()) return DRIVER_NOT_LOADED;
    }
}

EXPORT nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    ENTER(nvmlEventSetFree);
    free(set);
    return OK;
}

/* ---- counters of kernels, and what the fake has no numbers for ---- */

struct gpm_support { unsigned version, is_supported; };

EXPORT nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t handle, struct gpm_support *support) {
    ENTER_DEVICE(nvmlGpmQueryDeviceSupport, handle);
    if (support->version != 1) return VERSION_MISMATCH;
    support->is_supported = device->gpm;
    return OK;
}

/* A sample remembers of which device and how late it is; figures are those of the machine when they are asked for. */
typedef struct gpm_sample {
    char uuid[TEXT_SIZE];
    unsigned long long sequence; /* 0: nothing in it */
} *nvmlGpmSample_t;

struct gpm_metric {
    unsigned id;
    nvmlReturn_t code;
    double value;
    const char *texts[3];
};

struct gpm_request {
    unsigned version, count;
    nvmlGpmSample_t earlier, later;
    struct gpm_metric metrics[];
};

enum { GPM_OCCUPANCY = 3, GPM_DRAM = 10 };

EXPORT nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample) {
    ENTER(nvmlGpmSampleAlloc);
    *sample = calloc(1, sizeof **sample);
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample) {
    ENTER(nvmlGpmSampleFree);
    free(sample);
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t handle, nvmlGpmSample_t sample) {
    static unsigned long long sequence;
    ENTER_DEVICE(nvmlGpmSampleGet, handle);
    if (!device->gpm || IS_MIG) return NOT_SUPPORTED;
    snprintf(sample->uuid, TEXT_SIZE, "%s", device->uuid);
    sample->sequence = ++sequence;
    return OK;
}

EXPORT nvmlReturn_t nvmlGpmMetricsGet(struct gpm_request *request) {
    ENTER(nvmlGpmMetricsGet);
    nvmlGpmSample_t earlier = request->earlier, later = request->later;
    if (request->version != 1) return VERSION_MISMATCH;
    if (!earlier->sequence || earlier->sequence >= later->sequence || strcmp(earlier->uuid, later->uuid))
        return INVALID_ARGUMENT;
    const struct device *device = find(later->uuid, 0);
    if (!device) return GPU_IS_LOST;
    for (struct gpm_metric *metric = request->metrics; metric < request->metrics + request->count; metric++) {
        metric->code = metric->id == GPM_OCCUPANCY || metric->id == GPM_DRAM ? OK : NOT_SUPPORTED;
        metric->value = metric->id == GPM_OCCUPANCY ? device->gpm_occupancy : device->gpm_dram;
    }
    return OK;
}

struct addressing_mode { unsigned version, mode; };

EXPORT nvmlReturn_t nvmlDeviceGetAddressingMode(nvmlDevice_t handle, struct addressing_mode *mode) {
    ENTER_DEVICE(nvmlDeviceGetAddressingMode, handle);
    if (mode->version != (sizeof *mode | 1 << 24)) return VERSION_MISMATCH;
    if (device->addressing < 0) return NOT_SUPPORTED;
    mode->mode = device->addressing;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t handle, int *node) {
    ENTER_DEVICE(nvmlDeviceGetNumaNodeId, handle);
    if (device->numa < 0) return NOT_SUPPORTED;
    *node = device->numa;
    return OK;
}

#if DRIVER >= 580
struct memory_limits { const char *path; unsigned long long soft, hard, used; };

EXPORT nvmlReturn_t nvmlDeviceGetMemoryLimits_v1(nvmlDevice_t handle, struct memory_limits *limits) {
    ENTER_DEVICE(nvmlDeviceGetMemoryLimits_v1, handle);
    if (IS_MIG || !machine.limit_count) return NOT_SUPPORTED;
    for (const struct limit *limit = machine.limits; limit < machine.limits + machine.limit_count; limit++)
        if (!strcmp(limit->uuid, device->uuid) && !strcmp(limit->path, limits->path)) {
            limits->soft = limit->soft, limits->hard = limit->hard, limits->used = limit->used;
            return OK;
        }
    return NOT_FOUND;
}
#endif

enum { CLOCK_MEMORY = 2 };

EXPORT nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t handle, unsigned clock, unsigned *mhz) {
    ENTER_DEVICE(nvmlDeviceGetMaxClockInfo, handle);
    if (clock != CLOCK_MEMORY || !device->memory_clock) return NOT_SUPPORTED;
    *mhz = device->memory_clock;
    return OK;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryBusWidth(nvmlDevice_t handle, unsigned *bits) {
    ENTER_DEVICE(nvmlDeviceGetMemoryBusWidth, handle);
    if (!device->bus_width) return NOT_SUPPORTED;
    *bits = device->bus_width;
    return OK;
}

#define FUNCTION(name)
#define UNSUPPORTED(name)                                                   \
    EXPORT nvmlReturn_t name(void) {                                        \
        ENTER(name);                                                        \
        return NOT_SUPPORTED;                                               \
    }
#include "functions.def"
