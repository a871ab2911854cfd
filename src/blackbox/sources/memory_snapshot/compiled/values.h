/* What the entries of a trace refer to, or write out, numbered: see `entries.c`. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GUESSES = 1 << 14 };

/* A value that was written out: frames, a text or a pool. The same bytes are the same value. Or one that Python has
   read, to which an entry refers. */
typedef struct {
    uint64_t hash;
    uint64_t offset; /* in `bytes`; of what Python has read: its place among what was remembered */
    uint32_t length; /* 0 of what Python has read */
    uint32_t remembered; /* how many things were remembered before it was first written */
} Value;

typedef struct {
    Value *value; /* from 1 on */
    uint64_t count, room;
    uint8_t *bytes;
    uint64_t byte_count, byte_room;
    uint32_t *bucket; /* numbers of values; 0: empty */
    uint64_t bucket_count; /* a power of two, at least twice as many as values */
    int32_t list, list_before; /* the frames that were written last, and those before them */
    int32_t guess[GUESSES]; /* by these two: the frames that came next, when they were written so before */
} Values;

typedef struct {
    const uint8_t *at, *end;
    int32_t number; /* of the value that it is; 0: it has to be looked up */
} Span;

static int grow(void **items, uint64_t *room, uint64_t wanted, size_t item_bytes) {
    if (wanted <= *room) return 1;
    uint64_t more = *room ? *room : 1024;
    while (more < wanted) more *= 2;
    if (more > SIZE_MAX / 2 / item_bytes) return 0;
    void *grown = realloc(*items, more * item_bytes);
    if (!grown) return 0;
    *items = grown;
    *room = more;
    return 1;
}

static uint64_t hash_of(const uint8_t *at, uint32_t length) {
    uint64_t hash = 0x9e3779b97f4a7c15u ^ length, word;
    for (; length >= 8; at += 8, length -= 8) {
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    for (; length; at++, length--) hash = (hash ^ *at) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

static int spread(Values *values) {
    uint64_t count = values->bucket_count ? values->bucket_count * 2 : 2048;
    uint32_t *bucket = calloc(count, sizeof *bucket);
    if (!bucket) return 0;
    for (uint64_t number = 1; number < values->count; number++) {
        if (!values->value[number].length) continue;
        uint64_t place = values->value[number].hash & (count - 1);
        while (bucket[place]) place = (place + 1) & (count - 1);
        bucket[place] = (uint32_t)number;
    }
    free(values->bucket);
    values->bucket = bucket;
    values->bucket_count = count;
    return 1;
}

/* The number of one more value; 0 where there is no memory for it. */
static int32_t add_value(Values *values, Value value) {
    uint64_t number = values->count;
    if (number >= INT32_MAX || !grow((void **)&values->value, &values->room, number + 1, sizeof value)) return 0;
    values->value[number] = value;
    values->count++;
    return (int32_t)number;
}

/* The number of a value that is written out; 0 where there is no memory for it. */
static int32_t number_of_value(Values *values, Span span, uint64_t remembered) {
    uint32_t length = (uint32_t)(span.end - span.at);
    uint64_t hash = hash_of(span.at, length);
    uint64_t place = hash & (values->bucket_count - 1);
    for (uint32_t number; (number = values->bucket[place]); place = (place + 1) & (values->bucket_count - 1)) {
        const Value *known = &values->value[number];
        if (known->hash == hash && known->length == length
            && !memcmp(values->bytes + known->offset, span.at, length)) return (int32_t)number;
    }
    if (!grow((void **)&values->bytes, &values->byte_room, values->byte_count + length, 1)) return 0;
    int32_t number = add_value(values, (Value){hash, values->byte_count, length, (uint32_t)remembered});
    if (!number) return 0;
    memcpy(values->bytes + values->byte_count, span.at, length);
    values->byte_count += length;
    values->bucket[place] = (uint32_t)number;
    if (values->count * 2 > values->bucket_count && !spread(values)) return 0;
    return number;
}

static int32_t *next_list(Values *values) {
    uint32_t mixed = (uint32_t)values->list * 0x9e3779b1u + (uint32_t)values->list_before * 0x85ebca6bu;
    return &values->guess[(mixed ^ mixed >> 15) & (GUESSES - 1)];
}

/* The number of the frames that begin at `at`, where they are those that a program that goes in rounds writes next: no
   byte of them has to be looked at but to see that it is the same. 0 where they are others. */
static int32_t guessed(Values *values, const uint8_t *at, const uint8_t *end) {
    int32_t number = *next_list(values);
    const Value *value = &values->value[number];
    int is_it = number && end - at >= (ptrdiff_t)value->length
                && !memcmp(values->bytes + value->offset, at, value->length);
    return is_it ? number : 0;
}

static void note_list(Values *values, int32_t number) {
    if (values->value[number].length <= 2) return; /* an empty one: what follows it shows where it ends */
    *next_list(values) = number;
    values->list_before = values->list;
    values->list = number;
}

/* 0 where there is no memory for them. */
static int begin_values(Values *values) {
    values->count = 1;
    return grow((void **)&values->value, &values->room, 1, sizeof *values->value) && spread(values);
}

static void free_values(Values *values) {
    free(values->value);
    free(values->bytes);
    free(values->bucket);
}
