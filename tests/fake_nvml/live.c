/* The machine as it is now, under one lock: kept fresh, its handles, and the faults that strike its calls. */
#define _GNU_SOURCE
#include "live.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { HANDLES_MAX = 4096, HAND_EDIT_NS = 20000000 };

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char state_path[4096];
struct machine machine;
static struct shared *shared;
static uint64_t generation;
static struct timespec looked_at;
static struct stat last_stat;
static nvmlDevice_t handles[HANDLES_MAX];
static int handle_count, inits, stale = 1;
static volatile int *volatile nowhere; /* NULL: writing there is the crash */

static int file_edited(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((now.tv_sec - looked_at.tv_sec) * 1000000000l + now.tv_nsec - looked_at.tv_nsec < HAND_EDIT_NS) return 0;
    looked_at = now;
    struct stat info;
    if (stat(state_path, &info)) return 0;
    int edited = info.st_ino != last_stat.st_ino || info.st_size != last_stat.st_size ||
                 memcmp(&info.st_mtim, &last_stat.st_mtim, sizeof info.st_mtim);
    last_stat = info;
    return edited;
}

int refresh(void) {
    const char *path = getenv("FAKE_NVML_STATE");
    if (!path) return -1;
    int moved = strcmp(path, state_path);
    if (moved) {
        struct shared *mapped = shared_map(path); /* the old mapping stays: a call may still be asleep on it */
        if (!mapped) return -1;
        shared = mapped;
        snprintf(state_path, sizeof state_path, "%s", path);
        shared_note_inits(shared, inits);
        for (int i = 0; i < handle_count; i++) /* another machine: its lists have not been read yet */
            memset(handles[i]->list_calls, 0, sizeof handles[i]->list_calls);
    }
    uint64_t current = __atomic_load_n(&shared->generation, __ATOMIC_ACQUIRE);
    int edited = file_edited();
    if (!moved && !edited && !stale && current == generation) return 0;
    stale = machine_load(&machine, state_path);
    generation = current;
    return stale;
}

struct device *find(const char *uuid, int hint) {
    if (hint < machine.device_count && !strcmp(machine.devices[hint].uuid, uuid)) return &machine.devices[hint];
    for (int i = 0; i < machine.device_count; i++)
        if (!strcmp(machine.devices[i].uuid, uuid)) return &machine.devices[i];
    return NULL;
}

nvmlDevice_t handle_of(const struct device *device) {
    for (int i = 0; i < handle_count; i++)
        if (!strcmp(handles[i]->uuid, device->uuid)) return handles[i];
    if (handle_count == HANDLES_MAX) abort();
    nvmlDevice_t handle = calloc(1, sizeof *handle);
    snprintf(handle->uuid, TEXT_SIZE, "%s", device->uuid);
    handle->hint = device - machine.devices;
    return handles[handle_count++] = handle;
}

/* The rule that strikes this call, if any. `device_only`: rules for any device had their turn. */
static const struct rule *strike(enum function_id function, const char *uuid, int device_only) {
    for (int i = 0; i < machine.rule_count; i++) {
        const struct rule *rule = &machine.rules[i];
        if (*rule->device ? !uuid || strcmp(rule->device, uuid) : device_only) continue;
        if (fnmatch(rule->function, function_names[function], 0)) continue;
        if (!rule->skip && !rule->times) return rule;
        uint64_t hit = __atomic_fetch_add(&shared->rule_hits[rule->id], 1, __ATOMIC_SEQ_CST);
        if (hit >= rule->skip && (!rule->times || hit < rule->skip + rule->times)) return rule;
    }
    return NULL;
}

static int still_sleeping(const struct rule *rule) {
    pthread_mutex_lock(&lock);
    HOLDING_LOCK;
    if (refresh()) return 0;
    for (int i = 0; i < machine.rule_count; i++) {
        const struct rule *now = &machine.rules[i];
        if (now->id == rule->id && now->sleep_us && !strcmp(now->function, rule->function)) return 1;
    }
    return 0;
}

void sleep_us(unsigned long long us) {
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left)) {} /* like the kernel's uninterruptible sleep */
}

/* Called with the lock held, gives it up while it sleeps: a call that hangs must not stop the others. */
static nvmlReturn_t suffer(const struct rule *found) {
    if (!found) return OK;
    struct rule rule = *found; /* the machine may change while we sleep */
    pthread_mutex_unlock(&lock);
    for (unsigned long long slept = 0; slept < rule.sleep_us; slept += POLL_US) {
        unsigned long long left = rule.sleep_us - slept;
        sleep_us(left < POLL_US ? left : POLL_US);
        if (left > POLL_US && !still_sleeping(&rule)) break;
    }
    if (rule.crash) *nowhere = 0;
    pthread_mutex_lock(&lock);
    refresh();
    return rule.code;
}

nvmlReturn_t enter(enum function_id function, nvmlDevice_t handle) {
    pthread_mutex_lock(&lock);
    if (refresh()) return DRIVER_NOT_LOADED;
    __atomic_fetch_add(&shared->functions[function].calls, 1, __ATOMIC_RELAXED);
    nvmlReturn_t code = suffer(strike(function, handle ? handle->uuid : NULL, 0));
    if (code) return code;
    return inits || function == F_nvmlInit_v2 || function == F_nvmlInitWithFlags ? OK : UNINITIALIZED;
}

nvmlReturn_t give(enum function_id function, const struct device *device, nvmlDevice_t *handle) {
    *handle = handle_of(device);
    return suffer(strike(function, device->uuid, 1));
}

void note_inits(int change) {
    inits += change;
    shared_note_inits(shared, inits);
}
