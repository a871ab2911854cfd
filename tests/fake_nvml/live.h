/* What every call of the library goes through. */
#pragma once
#include <pthread.h>

#include "machine.h"

typedef int nvmlReturn_t;
enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, VERSION_MISMATCH = 25,
};
enum { POLL_US = 10000, EVENT_POLL_US = 100000 }; /* a real driver is woken for events; looking rarely costs as little */

/* A handle stays valid while its UUID is in the machine, wherever it moved to; it is never freed. */
typedef struct handle {
    char uuid[TEXT_SIZE];
    int hint; /* where the device was found last */
    unsigned list_calls[LIST_KINDS];
} *nvmlDevice_t;

extern pthread_mutex_t lock; /* guards the machine, and all that live.c keeps */
extern struct machine machine;

static inline void unlock(int *held) {
    (void)held;
    pthread_mutex_unlock(&lock);
}

/* Gives up the lock, taken before, at the end of the scope. */
#define HOLDING_LOCK int held __attribute__((cleanup(unlock), unused)) = 1

/* Brings `machine` up to date; -1 without a state file. A change of path is a change of machine. */
int refresh(void);

/* Takes the lock, and returns with it held: counts the call, lets faults strike, refreshes the machine. */
nvmlReturn_t enter(enum function_id function, nvmlDevice_t handle);

/* NULL when the machine has no such device. */
struct device *find(const char *uuid, int hint);

nvmlDevice_t handle_of(const struct device *device);

/* Hands out a device that `function` found, unless a fault of that device strikes. */
nvmlReturn_t give(enum function_id function, const struct device *device, nvmlDevice_t *handle);

/* Notes that the library was initialised (1) or shut down (-1). */
void note_inits(int change);

void sleep_us(unsigned long long us);

#define ENTER(function)                           \
    HOLDING_LOCK;                                 \
    nvmlReturn_t entered = enter(F_##function, NULL); \
    if (entered) return entered
#define ENTER_DEVICE(function, handle)                              \
    HOLDING_LOCK;                                                   \
    nvmlReturn_t entered = enter(F_##function, handle);             \
    if (entered) return entered;                                    \
    if (!handle) return INVALID_ARGUMENT;                           \
    const struct device *device = find(handle->uuid, handle->hint); \
    if (!device) return GPU_IS_LOST;                                \
    handle->hint = device - machine.devices
#define IS_MIG (device->parent >= 0)
