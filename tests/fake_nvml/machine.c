#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const function_names[FUNCTION_COUNT] = {
#define FUNCTION(name) #name,
#define UNSUPPORTED(name) #name,
#include "functions.def"
#undef FUNCTION
#undef UNSUPPORTED
};

#define NOT_GIVEN (~0ull)

/* The text behind ` key=`, or NULL. */
static const char *field(const char *line, const char *key) {
    size_t length = strlen(key);
    for (const char *at = strchr(line, ' '); at; at = strchr(at + 1, ' '))
        if (!strncmp(at + 1, key, length) && at[1 + length] == '=') return at + length + 2;
    return NULL;
}

static unsigned long long number(const char *line, const char *key, unsigned long long otherwise) {
    const char *text = field(line, key);
    if (!text) return otherwise;
    return strncmp(text, "na", 2) ? strtoull(text, NULL, 0) : ~0ull;
}

/* `until`: a name is the last field and runs to the end of the line, all else to the next space. */
static void text(char *to, const char *line, const char *key, const char *until, const char *otherwise) {
    const char *from = field(line, key);
    if (!from) from = otherwise;
    snprintf(to, TEXT_SIZE, "%.*s", (int)strcspn(from, until), from);
}

/* Room for one more element; arrays double, so `count` alone tells when they are full. */
static void *more(void *array, int count, size_t size) {
    if (count & (count - 1)) return array;
    array = realloc(array, size * (count ? 2 * count : 1));
    if (!array) abort();
    return array;
}

static void parse_memory(struct device *device, const char *line) {
    device->total = number(line, "total", 0);
    device->reserved = number(line, "reserved", 0);
    device->used = number(line, "used", 0);
    device->free = number(line, "free", device->total - device->reserved - device->used);
    device->v1_used = number(line, "v1_used", device->used + device->reserved);
    device->v1_free = number(line, "v1_free", device->total - device->v1_used);
}

static void parse_device(struct machine *machine, const char *line, int is_mig) {
    machine->devices = more(machine->devices, machine->device_count, sizeof *machine->devices);
    struct device *device = &machine->devices[machine->device_count];
    memset(device, 0, sizeof *device);
    device->parent = -1;
    if (is_mig) {
        device->parent = machine->device_count - 1;
        while (machine->devices[device->parent].parent >= 0) device->parent--;
        device->index = number(line, "slot", machine->device_count - device->parent - 1);
    } else {
        device->index = machine->gpu_count++;
    }
    machine->device_count++;
    text(device->uuid, line, "uuid", " \n", "");
    text(device->name, line, "name", "\n", "");
    char bus[TEXT_SIZE], otherwise[32];
    snprintf(otherwise, sizeof otherwise, "00000000:%02X:00.0", device->index + 1);
    text(bus, line, "bus", " \n", otherwise);
    snprintf(device->bus, sizeof device->bus, "%.31s", bus);
    parse_memory(device, line);
    device->mig = (int)number(line, "mig", ~0ull);
    device->gpu_instance = number(line, "gi", ~0u);
    device->compute_instance = number(line, "ci", ~0u);
    device->slices = number(line, "slices", 1);
    device->utilization = number(line, "util", 0);
    device->memory_utilization = number(line, "mem_util", 0);
    device->temperature = number(line, "temp", 30);
    device->power = number(line, "power", 50000);
    device->memory_clock = number(line, "memory_clock", 0);
    device->bus_width = number(line, "bus_width", 0);
    device->addressing = (int)number(line, "addressing", ~0ull);
    device->numa = (int)number(line, "numa", ~0ull);
    device->filtered = number(line, "filtered", 0);
    device->gpm = field(line, "gpm_occupancy") != NULL;
    device->gpm_occupancy = number(line, "gpm_occupancy", 0);
    device->gpm_dram = number(line, "gpm_dram", 0);
    device->processes_start = device->processes_end = machine->process_count;
}

static void parse_process(struct machine *machine, const char *line) {
    machine->processes = more(machine->processes, machine->process_count, sizeof *machine->processes);
    struct process *process = &machine->processes[machine->process_count++];
    struct device *device = &machine->devices[machine->device_count - 1];
    const char *kind = field(line, "kind");
    process->kind = !kind || *kind == 'c' ? COMPUTE : *kind == 'g' ? GRAPHICS : MPS;
    process->pid = number(line, "pid", 0);
    process->used = number(line, "used", 0);
    process->gpu_instance = number(line, "gi", device->gpu_instance);
    process->compute_instance = number(line, "ci", device->compute_instance);
    device->processes_end = machine->process_count;
    if (device->parent >= 0) machine->devices[device->parent].processes_end = machine->process_count;
}

static void parse_event(struct machine *machine, const char *line) {
    machine->events = more(machine->events, machine->event_count, sizeof *machine->events);
    struct event *event = &machine->events[machine->event_count++];
    event->sequence = number(line, "sequence", 0);
    event->type = number(line, "type", 8);
    event->data = number(line, "data", 0);
    event->gpu_instance = number(line, "gi", ~0u);
    event->compute_instance = number(line, "ci", ~0u);
    text(event->uuid, line, "uuid", " \n", "");
}

static void parse_rule(struct machine *machine, const char *line) {
    machine->rules = more(machine->rules, machine->rule_count, sizeof *machine->rules);
    struct rule *rule = &machine->rules[machine->rule_count++];
    text(rule->function, line, "function", " \n", "*");
    text(rule->device, line, "device", " \n", "");
    rule->id = number(line, "id", 0) % RULE_HITS;
    rule->code = number(line, "code", 0);
    rule->crash = number(line, "crash", 0);
    rule->sleep_us = number(line, "sleep_us", 0);
    rule->skip = number(line, "skip", 0);
    rule->times = number(line, "times", 0);
}

static void parse_limit(struct machine *machine, const char *line) {
    machine->limits = more(machine->limits, machine->limit_count, sizeof *machine->limits);
    struct limit *limit = &machine->limits[machine->limit_count++];
    text(limit->uuid, line, "uuid", " \n", "");
    const char *path = field(line, "path");
    snprintf(limit->path, sizeof limit->path, "%.*s", path ? (int)strcspn(path, "\n") : 0, path ? path : "");
    limit->soft = number(line, "soft", 0);
    limit->hard = number(line, "hard", ~0ull);
    limit->used = number(line, "used", 0);
}

static void parse_driver(struct machine *machine, const char *line) {
    text(machine->driver_version, line, "version", " \n", machine->driver_version);
    text(machine->nvml_version, line, "nvml", " \n", machine->nvml_version);
    machine->cuda_version = number(line, "cuda", machine->cuda_version);
    machine->row_bytes = number(line, "row_bytes", 0);
    machine->grow = number(line, "grow", 1);
    machine->rows_max = number(line, "rows_max", 0);
}

static int parse_line(struct machine *machine, const char *line) {
    size_t length = strcspn(line, " \n");
#define IS(word) (length == strlen(word) && !strncmp(line, word, length))
    if (!length || *line == '#') return 0;
    if (IS("driver")) parse_driver(machine, line);
    else if (IS("gpu")) parse_device(machine, line, 0);
    else if (IS("mig") && machine->device_count) parse_device(machine, line, 1);
    else if (IS("process") && machine->device_count) parse_process(machine, line);
    else if (IS("event")) parse_event(machine, line);
    else if (IS("fault")) parse_rule(machine, line);
    else if (IS("limit")) parse_limit(machine, line);
    else return -1;
#undef IS
    return 0;
}

int machine_load(struct machine *machine, const char *path) {
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    struct machine fresh = {
        .driver_version = "580.65.06", .nvml_version = "13.580.65.06", .cuda_version = 13000, .grow = 1};
    char *line = NULL;
    size_t size = 0;
    for (int line_number = 1; getline(&line, &size, file) > 0; line_number++)
        if (parse_line(&fresh, line)) fprintf(stderr, "fake_nvml: %s:%d: not understood: %s", path, line_number, line);
    free(line);
    fclose(file);
    free(machine->devices);
    free(machine->processes);
    free(machine->events);
    free(machine->rules);
    free(machine->limits);
    *machine = fresh;
    return 0;
}

struct shared *shared_map(const char *state_path) {
    char path[4096];
    snprintf(path, sizeof path, "%s.shared", state_path);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return NULL;
    void *at = MAP_FAILED;
    if (!ftruncate(file, sizeof(struct shared)))
        at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (at == MAP_FAILED) return NULL;
    struct shared *shared = at;
    for (int i = 0; i < FUNCTION_COUNT; i++) strncpy(shared->functions[i].name, function_names[i], 55);
    return shared;
}

void shared_note_inits(struct shared *shared, int inits) {
    int32_t self = getpid();
    for (int i = 0; i < USERS_MAX; i++)
        if (shared->users[i].pid == self) {
            shared->users[i].inits = inits;
            return;
        }
    for (int i = 0; inits && i < USERS_MAX; i++) {
        int32_t owner = shared->users[i].pid;
        if (owner && !(kill(owner, 0) && errno == ESRCH)) continue;
        if (!__sync_bool_compare_and_swap(&shared->users[i].pid, owner, self)) continue;
        shared->users[i].inits = inits;
        return;
    }
}
