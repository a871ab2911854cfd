/* The passes over the columns of a trace that look at each of its entries: memory rolled back and forward, and sums.

What an entry means is said by Python (`blackbox.analysis.trace`), which can do all of this alone, on the same state.
Here the plain entries alone are done: an allocation at the start of a free range, the two halves of a free. Before
anything else a pass stops, with nothing of that entry changed; Python does that one, and calls again.

The columns may come from anyone. Python has looked that each is as long as it says, that numbers and addresses are in
bounds (`blackbox_columns_fit`), and that a block's number is below `blocks` where it is read here. */

#include "map.h"

/* Codes of actions, in the order of `entries.py`. */
enum { ALLOC, FREE_REQUESTED, FREE_COMPLETED, SEGMENT_ALLOC, SEGMENT_FREE, SEGMENT_MAP, SEGMENT_UNMAP, OOM };

enum { NOT_KNOWN = -1 };
static const int64_t ADDRESS_END = INT64_MAX - (1LL << 48), SIZE_MAX_BYTES = 1LL << 44, LEVEL_MAX = (1LL << 62) - 1;
static const int64_t BLOCK_BYTES_MIN = 512, SMALL_SEGMENT_BYTES = 2 << 20;

/* Whether addresses and sizes are such that sums of two of them, and what is rounded up of them, are in bounds. */
int32_t blackbox_columns_fit(const int64_t *address, const int64_t *size, int64_t count) {
    for (int64_t place = 0; place < count; place++)
        if (address[place] < 0 || address[place] >= ADDRESS_END || size[place] < 0 || size[place] > SIZE_MAX_BYTES)
            return 0;
    return 1;
}

/* Undoes the entries before `place`, last to first, down to `first`. Returns the place after the first one that it does
   not undo, or `first`; -1 where there is no memory. `requested` by address of what lives then, `pending` has those
   that wait to be freed, `lasting` those that live to the end. */
int64_t blackbox_columns_undo(const uint8_t *action, const int64_t *address, const int64_t *size, int64_t place,
                              int64_t first, Map *requested, Map *pending, Map *lasting) {
    for (; place > first; place--) {
        int64_t at = address[place - 1], asked = size[place - 1];
        uint8_t code = action[place - 1];
        if (code >= OOM) continue;
        if (code > FREE_COMPLETED) break;
        Slot *held = find(requested, at), *waits = find(pending, at);
        int fits = held && (held->value == asked || held->value == NOT_KNOWN);
        if (code == ALLOC) {
            if (!fits || waits) break;
            take_out(requested, held);
            Slot *lasts = find(lasting, at);
            if (lasts) take_out(lasting, lasts);
        } else if (code == FREE_COMPLETED) {
            if (held) break;
            if (!has_room(requested) || !has_room(pending)) return -1;
            put(requested, at, asked);
            put(pending, at, 1);
        } else {
            if (!fits || !waits) break;
            take_out(pending, waits);
        }
    }
    return place;
}

/* The memory of a device while it is rolled forward, in the words of `roll_forward.py`. */
typedef struct {
    Map *ends, *starts, *live, *rooms, *borders;
    Map *rounded, *rests; /* by request: the size of its block, and what is split off behind it at least */
    Map *large; /* addresses known to be in a segment of the large pool */
    int64_t *block, *size;
    int64_t blocks;
} Memory;

/* Whether the allocation was done; -1 where there is no memory. */
static int allocate(Memory *memory, int64_t place, int64_t at, int64_t asked) {
    Slot *free_range = find(memory->ends, at);
    const Slot *rounded = find(memory->rounded, asked), *rest_min = find(memory->rests, asked);
    if (!free_range || !rounded || !rest_min) return 0;
    int64_t end = free_range->value, size = rounded->value, rest = end - at - size;
    Slot *before_end = find(memory->starts, end);
    if (rest < 0 || !before_end) return 0;
    int is_split = rest >= rest_min->value;
    if (!is_split && rest >= BLOCK_BYTES_MIN && size < SMALL_SEGMENT_BYTES && !find(memory->large, at))
        return 0; /* it may be split all the same */
    if (!has_room(memory->live)) return -1;
    take_out(memory->ends, free_range);
    if (is_split) {
        put(memory->ends, at + size, end); /* where one was taken out */
        before_end->value = at + size;
    } else {
        size += rest;
        take_out(memory->starts, before_end);
    }
    put(memory->live, at, place);
    memory->block[place] = place;
    memory->size[place] = size;
    return 1;
}

/* Whether the free was done; -1 where there is no memory. */
static int complete(Memory *memory, int64_t place, int64_t at, int64_t first_of_start) {
    Slot *held = find(memory->live, at);
    if (!held || held->value < 0 || held->value >= memory->blocks) return 0;
    int64_t number = held->value, start = at, end = at + memory->size[number];
    int is_border = find(memory->borders, at) != NULL;
    if (memory->rooms->count && (number >= first_of_start || (!is_border && find(memory->rooms, at)))) return 0;
    if (!has_room(memory->ends) || !has_room(memory->starts)) return -1;
    memory->block[place] = number;
    take_out(memory->live, held);
    Slot *before = is_border ? NULL : find(memory->starts, at);
    if (before) {
        start = before->value;
        take_out(memory->starts, before);
    }
    Slot *after = find(memory->borders, end) ? NULL : find(memory->ends, end);
    if (after) {
        int64_t joined = after->value;
        take_out(memory->ends, after);
        end = joined;
    }
    put(memory->ends, start, end);
    put(memory->starts, end, start);
    return 1;
}

/* Does the entries from `place` on, before `last`; those of the start have the numbers from `first_of_start` on. Returns
   the place of the first one that it does not do, or `last`; -1 where there is no memory. */
int64_t blackbox_columns_forward(const uint8_t *action, const int64_t *address, const int64_t *size, int64_t place,
                                 int64_t last, int64_t first_of_start, Memory *memory) {
    for (int done = 1; place < last; place += done) {
        uint8_t code = action[place];
        if (code == ALLOC) {
            done = allocate(memory, place, address[place], size[place]);
        } else if (code == FREE_REQUESTED) {
            const Slot *held = find(memory->live, address[place]);
            done = held != NULL;
            if (held) memory->block[place] = held->value;
        } else if (code == FREE_COMPLETED) {
            done = complete(memory, place, address[place], first_of_start);
        } else {
            done = code >= OOM;
        }
        if (done < 0) return -1;
        if (!done) break;
    }
    return place;
}

/* Bytes before entry `first` and after it and each that follows, which stand at 0 of each level already; and by block the
   entry that frees it, and the one that completes that, in columns that say of each that none does. 0 where a sum is out
   of bounds. */
int32_t blackbox_columns_levels(const uint8_t *action, const int64_t *size, const int64_t *block, int64_t first,
                                int64_t last, const int64_t *block_size, int64_t blocks, int64_t *allocated,
                                int64_t *active, int64_t *reserved, int64_t *freed,
                                int64_t *completed) {
    for (int64_t place = first; place < last; place++, allocated++, active++, reserved++) {
        uint8_t code = action[place];
        int64_t number = block[place], bytes = 0, mapped = 0;
        if (code <= FREE_COMPLETED) {
            if (number < 0 || number >= blocks || (bytes = block_size[number]) < 0 || bytes > LEVEL_MAX) return 0;
            if (code == FREE_REQUESTED) freed[number] = place;
            else if (code == FREE_COMPLETED) completed[number] = place;
        } else if (code < OOM) {
            if (size[place] < 0 || size[place] > LEVEL_MAX) return 0;
            mapped = code == SEGMENT_ALLOC || code == SEGMENT_MAP ? size[place] : -size[place];
        }
        allocated[1] = allocated[0] + (code == ALLOC ? bytes : code == FREE_REQUESTED ? -bytes : 0);
        active[1] = active[0] + (code == ALLOC ? bytes : code == FREE_COMPLETED ? -bytes : 0);
        reserved[1] = reserved[0] + mapped;
        if (allocated[1] > LEVEL_MAX || allocated[1] < -LEVEL_MAX || active[1] > LEVEL_MAX || active[1] < -LEVEL_MAX
            || reserved[1] > LEVEL_MAX || reserved[1] < -LEVEL_MAX) return 0;
    }
    return 1;
}

/* The allocations from `first` on, before `last`, that are there until `until` or later by a column of where each goes.
   `found` has room for as many as there are entries. Returns how many they are. */
int64_t blackbox_columns_there(const uint8_t *action, const int64_t *gone, int64_t first, int64_t last, int64_t until,
                               int64_t *found) {
    int64_t count = 0;
    for (int64_t place = first; place < last; place++) {
        found[count] = place;
        count += action[place] == ALLOC && gone[place] >= until;
    }
    return count;
}

/* The allocations from `first` on, before `last`, that are there at one of the points of `after` at least, which has by
   entry from `first` on, and for the end of all, the first point that has it: `block`, the first point where each is
   there and the first where it is not any more, of which the last is `points`. Returns how many they are. */
int64_t blackbox_columns_lives(const uint8_t *action, const int64_t *freed, int64_t first, int64_t last,
                               const int32_t *after, int32_t points, int64_t *block, int32_t *since, int32_t *until) {
    int64_t count = 0;
    for (int64_t place = first; place < last; place++) {
        if (action[place] != ALLOC) continue;
        int64_t gone = freed[place];
        block[count] = place;
        since[count] = after[place - first];
        until[count] = gone >= first && gone < last ? after[gone - first] : points;
        count += since[count] < until[count];
    }
    return count;
}

/* The places of the highest and the lowest of each stretch of so many levels, each the first of its kind. */
void blackbox_columns_extremes(const int64_t *level, int64_t count, int64_t length, int64_t *highest, int64_t *lowest) {
    for (int64_t start = 0; start < count; start += length, highest++, lowest++) {
        *highest = *lowest = start;
        for (int64_t place = start + 1; place < count && place - start < length; place++) {
            if (level[place] > level[*highest]) *highest = place;
            if (level[place] < level[*lowest]) *lowest = place;
        }
    }
}
