/* Maps that Python fills, and the passes over the columns of a trace that look up what it told: see `columns.c`. */

#include "map.h"

enum { ALLOC, FREE_REQUESTED };

enum { UNTOLD = INT32_MIN, UNBORN = -2, STACK_MAX = INT32_MAX - 2 };

void blackbox_map_free(Map *map) {
    if (map) free(map->slot);
    free(map);
}

Map *blackbox_map_new(void) {
    Map *map = calloc(1, sizeof *map);
    if (map && !with_room(map, ROOM_MIN)) {
        blackbox_map_free(map);
        return NULL;
    }
    return map;
}

/* 0 where there is no memory for it, or it is no key. */
int32_t blackbox_map_put(Map *map, int64_t key, int64_t value) {
    if (key < 0 || !has_room(map)) return 0;
    put(map, key, value);
    return 1;
}

/* Whether there was such a key, and what stood at it. */
int32_t blackbox_map_get(const Map *map, int64_t key, int64_t *value) {
    const Slot *slot = find(map, key);
    if (slot) *value = slot->value;
    return slot != NULL;
}

int32_t blackbox_map_remove(Map *map, int64_t key) {
    Slot *slot = find(map, key);
    if (slot) take_out(map, slot);
    return slot != NULL;
}

void blackbox_map_clear(Map *map) {
    for (uint64_t place = 0; map->count && place < map->room; place++) map->slot[place].key = NO_KEY;
    map->count = 0;
}

int64_t blackbox_map_count(const Map *map) {
    return (int64_t)map->count;
}

/* All of it; both have room for as many as there are. */
void blackbox_map_items(const Map *map, int64_t *keys, int64_t *values) {
    for (uint64_t place = 0; place < map->room; place++) {
        if (map->slot[place].key == NO_KEY) continue;
        *keys++ = map->slot[place].key;
        *values++ = map->slot[place].value;
    }
}

/* Whether no number is less than the one before it. */
int32_t blackbox_columns_ascend(const int64_t *column, int64_t count) {
    for (int64_t place = 1; place < count; place++)
        if (column[place] < column[place - 1]) return 0;
    return 1;
}

/* Whether some number is negative. */
int32_t blackbox_columns_negative(const int64_t *column, int64_t count) {
    int64_t all = 0;
    for (int64_t place = 0; place < count; place++) all |= column[place];
    return all < 0;
}

/* By entry whose action is wanted: what a table of `room` tells of the number in its column, which is `lowest` at least,
   in one byte each, or in four. Returns the place of the first of which it tells nothing yet, or `count`. */
int64_t blackbox_columns_told(const uint8_t *action, const uint8_t *wanted, const int32_t *column, int64_t place,
                              int64_t count, const int32_t *table, int64_t lowest, int64_t room, int32_t width,
                              void *told) {
    for (; place < count; place++) {
        if (!wanted[action[place]]) continue;
        int64_t number = column[place] - lowest;
        if (number < 0 || number >= room || table[number] == UNTOLD) break;
        if (width == 1) ((uint8_t *)told)[place] = (uint8_t)table[number];
        else ((int32_t *)told)[place] = table[number];
    }
    return place;
}

/* By entry that frees: the number of its pair of stacks, that of the allocation last made at its address which is not
   freed yet, `UNBORN` where there is none, and its own. Pairs are numbered in turn; `first` and `second` have room for
   `pairs_max`. Returns how many pairs there are; -1 where there is no memory, -2 where they are more, or an address or a
   stack is none. `born` and `known` are empty. */
int64_t blackbox_columns_pairs(const uint8_t *action, const int64_t *address, const int32_t *stack, int64_t count,
                               Map *born, Map *known, int32_t *pair, int32_t *first, int32_t *second,
                               int64_t pairs_max) {
    int64_t pairs = 0;
    for (int64_t place = 0; place < count; place++) {
        if (action[place] > FREE_REQUESTED) continue;
        if (address[place] < 0 || stack[place] < UNBORN || stack[place] > STACK_MAX) return -2;
        if (!has_room(born) || !has_room(known)) return -1;
        if (action[place] == ALLOC) {
            put(born, address[place], stack[place]);
            continue;
        }
        Slot *made = find(born, address[place]);
        int64_t made_by = made ? made->value : UNBORN;
        if (made) take_out(born, made);
        int64_t key = (made_by - UNBORN) << 32 | (stack[place] - (int64_t)UNBORN);
        const Slot *found = find(known, key);
        pair[place] = (int32_t)(found ? found->value : pairs);
        if (found) continue;
        if (pairs == pairs_max) return -2;
        put(known, key, pairs);
        first[pairs] = (int32_t)made_by;
        second[pairs++] = stack[place];
    }
    return pairs;
}
