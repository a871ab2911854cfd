/* As much of CUPTI as the agent calls. The kernels of a window come from FAKE_CUPTI_KERNELS:
   "threads registers shared grid nanoseconds times", several separated by ";". FAKE_CUPTI_BUSY: somebody is subscribed.
   FAKE_CUPTI_VERSION: another version. FAKE_CUPTI_KIND: records of another kind. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY 39
#define INVALID 1
#define NO_MORE 12
#define RECORD_BYTES 208 /* of CUpti_ActivityKernel10, rounded up as any later version may be */

typedef void (*requested_function)(uint8_t **, size_t *, size_t *);
typedef void (*completed_function)(void *, uint32_t, uint8_t *, size_t, size_t);
static requested_function requested;
static completed_function completed;
static int subscribed, enabled;

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int cuptiGetVersion(uint32_t *version) { *version = number("FAKE_CUPTI_VERSION", 130001); return 0; }

int cuptiSubscribe(void **subscriber, void *callback, void *data) {
    (void)data;
    if (!callback) return INVALID;
    if (subscribed || getenv("FAKE_CUPTI_BUSY")) return BUSY;
    subscribed = 1;
    *subscriber = &subscribed;
    return 0;
}

int cuptiUnsubscribe(void *subscriber) {
    if (subscriber != &subscribed || !subscribed || enabled) abort();
    subscribed = 0;
    return 0;
}

int cuptiActivityRegisterCallbacks(requested_function first, completed_function second) {
    requested = first;
    completed = second;
    return 0;
}

int cuptiActivityEnable(int kind) {
    if (kind != 10 || !subscribed) abort();
    enabled = 1;
    return 0;
}

int cuptiActivityDisable(int kind) {
    if (kind != 10 || !enabled) abort();
    enabled = 0;
    return 0;
}

static void put(uint8_t *record, const int *kernel) {
    uint64_t start = 1000, end = start + kernel[4];
    int32_t one = 1;
    uint32_t kind = number("FAKE_CUPTI_KIND", 10);
    uint16_t registers = kernel[1];
    memset(record, 0, RECORD_BYTES);
    memcpy(record, &kind, 4);
    memcpy(record + 6, &registers, 2);
    memcpy(record + 16, &start, 8);
    memcpy(record + 24, &end, 8);
    memcpy(record + 52, &kernel[3], 4);
    for (int at = 56; at <= 72; at += 4) memcpy(record + at, &one, 4);
    memcpy(record + 64, &kernel[0], 4);
    memcpy(record + 80, &kernel[2], 4);
}

int cuptiActivityFlushAll(uint32_t flag) {
    if (flag != 1 || !requested) abort();
    uint8_t *buffer = NULL;
    size_t size = 0, used = 0, records = 0;
    const char *text = getenv("FAKE_CUPTI_KERNELS");
    while (text && *text) {
        int kernel[6];
        if (sscanf(text, "%d %d %d %d %d %d", kernel, kernel + 1, kernel + 2, kernel + 3, kernel + 4, kernel + 5) != 6)
            abort();
        for (int i = 0; i < kernel[5]; i++) {
            if (buffer && used + RECORD_BYTES > size) {
                completed(NULL, 0, buffer, size, used);
                buffer = NULL;
            }
            if (!buffer) {
                requested(&buffer, &size, &records);
                used = 0;
                if (!buffer) break; /* dropped */
            }
            put(buffer + used, kernel);
            used += RECORD_BYTES;
        }
        text = strchr(text, ';');
        text = text ? text + 1 : NULL;
    }
    if (buffer) completed(NULL, 0, buffer, size, used);
    return 0;
}

int cuptiActivityGetNextRecord(uint8_t *buffer, size_t valid, uint8_t **record) {
    uint8_t *next = *record ? *record + RECORD_BYTES : buffer;
    if (next >= buffer + valid) return NO_MORE;
    *record = next;
    return 0;
}
