/* The machine that the state file describes, and what the processes using it share. */
#pragma once
#include <stdint.h>

enum { TEXT_SIZE = 96, RULE_HITS = 1024, USERS_MAX = 256, FUNCTIONS_MAX = 128 };

enum function_id {
#define FUNCTION(name) F_##name,
#define UNSUPPORTED(name) F_##name,
#include "functions.def"
#undef FUNCTION
#undef UNSUPPORTED
    FUNCTION_COUNT
};

extern const char *const function_names[FUNCTION_COUNT];

enum list_kind { COMPUTE, GRAPHICS, MPS, LIST_KINDS };

struct process {
    unsigned pid;
    enum list_kind kind;
    unsigned long long used; /* all ones: not available */
    unsigned gpu_instance, compute_instance;
};

/* A GPU (`parent` is -1), or a MIG instance, which follows its GPU in `devices`. */
struct device {
    char uuid[TEXT_SIZE], name[TEXT_SIZE], bus[32];
    int parent, index, mig; /* index: among the GPUs, or the slot in the GPU; mig: -1 not capable, 0 off, 1 on */
    unsigned gpu_instance, compute_instance, slices;
    unsigned long long total, reserved, used, free, v1_used, v1_free;
    unsigned utilization, memory_utilization, temperature, power;
    unsigned memory_clock, bus_width, gpm, gpm_occupancy, gpm_dram; /* gpm: the GPU has that unit */
    int processes_start, processes_end; /* a GPU's range spans those of its MIG instances */
    int addressing, numa; /* -1: not told */
    unsigned filtered;                  /* its own lists leave those out, in silence; 2: but for those of the first instance */
};

struct event {
    unsigned long long sequence, type, data;
    char uuid[TEXT_SIZE];
    unsigned gpu_instance, compute_instance;
};

/* What to do to a call of `function` (a shell pattern) on `device` (empty: any): sleep, then crash or return `code`. */
struct rule {
    char function[TEXT_SIZE], device[TEXT_SIZE];
    int code, crash;
    unsigned long long sleep_us, skip, times; /* times 0: for ever */
    unsigned id;                              /* counts hits for skip and times, over all processes */
};

/* What the cgroup at `path` may hold of the GPU `uuid`. */
struct limit {
    char uuid[TEXT_SIZE], path[4 * TEXT_SIZE];
    unsigned long long soft, hard, used;
};

struct machine {
    char driver_version[TEXT_SIZE], nvml_version[TEXT_SIZE];
    unsigned cuda_version, row_bytes, grow; /* row_bytes 0: as this driver generation has it */
    unsigned rows_max; /* 0: lists are never cut */
    struct device *devices;
    struct process *processes;
    struct event *events;
    struct rule *rules;
    struct limit *limits;
    int device_count, gpu_count, process_count, event_count, rule_count, limit_count;
};

/* Lives in `<state>.shared`, mapped by every process; the controller writes only `generation`. */
struct shared {
    uint64_t generation;
    uint64_t rule_hits[RULE_HITS];
    struct {
        int32_t pid, inits;
    } users[USERS_MAX];
    struct {
        char name[56];
        uint64_t calls;
    } functions[FUNCTIONS_MAX];
};

/* 0, or -1 when the file cannot be read; the old machine is kept then. */
int machine_load(struct machine *machine, const char *path);

/* The mapping for this state file, made if need be; NULL when that fails. */
struct shared *shared_map(const char *state_path);

/* Notes how often this process has initialised the library and not shut it down again. */
void shared_note_inits(struct shared *shared, int inits);
