/* What blocks hold together from point to point, for the bands of a timeline: see `columns.c`.

`block` has their numbers, `since` and `until` the first point at which each is held, and the first at which it is not
any more, which is `points` at most. Python has made all of these columns, and looked that they are as long as they say. */

#include "map.h"

enum { STACK_BITS = 32, NO_KIND = -1 };

/* By place: the number of the kind of a block, and by kind the first block of it; blocks are alike of which the same is
   told. Those from `made` on, and those that `alone` has by the code of their birth, are a kind each. `codes` has by entry
   the part of a step, and at the end that of what nothing frees; where it is NULL, the stack is all that is told.
   `known` is empty. Returns how many kinds there are; -1 where there is no memory. */
int64_t blackbox_bands_alike(const int64_t *block, int64_t count, int64_t made, const int32_t *stack,
                             const uint8_t *codes, const uint8_t *alone, const int64_t *freed, int64_t steps,
                             int64_t first_step, Map *known, int32_t *kind, int64_t *first) {
    int64_t kinds = 0;
    for (int64_t place = 0; place < count; place++) {
        int64_t number = block[place];
        kind[place] = (int32_t)kinds;
        if (number < made && !(codes && alone[codes[number]])) {
            int64_t key = (int64_t)(uint32_t)stack[number];
            if (codes) {
                int64_t gone = freed[number] >= 0 && freed[number] < steps ? freed[number] : steps;
                key |= (int64_t)codes[number] << STACK_BITS | (int64_t)codes[gone] << (STACK_BITS + 8)
                       | (int64_t)(number < first_step) << (STACK_BITS + 16);
            }
            const Slot *found = find(known, key);
            if (found) {
                kind[place] = (int32_t)found->value;
                continue;
            }
            if (!has_room(known)) return -1;
            put(known, key, kinds);
        }
        first[kinds++] = number;
    }
    return kinds;
}

/* In place of each number what a table tells of it. */
void blackbox_bands_renumber(int32_t *number, int64_t count, const int32_t *table) {
    for (int64_t place = 0; place < count; place++) number[place] = table[number[place]];
}

/* By kind: the most bytes that its blocks hold at any point. `first` is `NO_KIND` of each of the `kinds`, `changes` is 0
   at each point and behind the last; `next` has room for the blocks. 0 where a sum is out of bounds. */
int32_t blackbox_bands_most(const int64_t *block, const int32_t *since, const int32_t *until, int64_t count,
                            const int64_t *size, const int32_t *kind, int64_t kinds, int64_t points, int32_t *first,
                            int32_t *next, int64_t *changes, int64_t *most) {
    for (int64_t place = 0; place < count; place++) {
        next[place] = first[kind[place]];
        first[kind[place]] = (int32_t)place;
    }
    for (int64_t one = 0; one < kinds; one++) {
        int64_t held = 0;
        for (int32_t place = first[one]; place != NO_KIND; place = next[place]) {
            int64_t *begin = &changes[since[place]], *end = &changes[until[place]], bytes = size[block[place]];
            if (__builtin_add_overflow(*begin, bytes, begin) || __builtin_sub_overflow(*end, bytes, end)) return 0;
        }
        most[one] = 0;
        for (int64_t point = 0; point <= points; point++) {
            if (__builtin_add_overflow(held, changes[point], &held)) return 0;
            if (held > most[one]) most[one] = held;
            changes[point] = 0;
        }
    }
    return 1;
}

/* By band, which a table tells of each kind, and point: the changes of what is held, in bytes and in blocks. A band takes
   `points` and one more. 0 where a sum is out of bounds. */
int32_t blackbox_bands_sums(const int64_t *block, const int32_t *since, const int32_t *until, int64_t count,
                            const int64_t *size, const int32_t *kind, const int32_t *band, int64_t points,
                            int64_t *bytes, int32_t *blocks) {
    for (int64_t place = 0; place < count; place++) {
        int64_t row = band[kind[place]] * (points + 1), begin = row + since[place], end = row + until[place];
        if (__builtin_add_overflow(bytes[begin], size[block[place]], &bytes[begin])
            || __builtin_sub_overflow(bytes[end], size[block[place]], &bytes[end])) return 0;
        blocks[begin]++;
        blocks[end]--;
    }
    return 1;
}

/* Moves what changes to the front, and tells the points of it. Returns how many they are. */
int64_t blackbox_bands_changes(int64_t *bytes, int32_t *blocks, int64_t points, int32_t *at) {
    int64_t count = 0;
    for (int64_t point = 0; point < points; point++) {
        if (!bytes[point] && !blocks[point]) continue;
        at[count] = (int32_t)point;
        bytes[count] = bytes[point];
        blocks[count++] = blocks[point];
    }
    return count;
}
