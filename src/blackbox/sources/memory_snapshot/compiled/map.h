/* Whole numbers by whole numbers, for the passes over columns: see `columns.c`. */

#include <stdint.h>
#include <stdlib.h>

enum { NO_KEY = -1, ROOM_MIN = 64 };

/* Of whole numbers from 0 on. */
typedef struct {
    int64_t key, value;
} Slot;

typedef struct {
    Slot *slot;
    uint64_t room, count; /* a power of two, at least twice as many */
} Map;

static uint64_t home_of(const Map *map, int64_t key) {
    uint64_t mixed = (uint64_t)key * 0x9e3779b97f4a7c15u;
    return (mixed ^ mixed >> 32) & (map->room - 1);
}

/* Where a key is, or would be. */
static Slot *place_of(const Map *map, int64_t key) {
    uint64_t place = home_of(map, key);
    while (map->slot[place].key != key && map->slot[place].key != NO_KEY) place = (place + 1) & (map->room - 1);
    return &map->slot[place];
}

static Slot *find(const Map *map, int64_t key) {
    Slot *slot = place_of(map, key);
    return slot->key == NO_KEY ? NULL : slot;
}

static int with_room(Map *map, uint64_t room) {
    Map wider = {malloc(room * sizeof(Slot)), room, map->count};
    if (!wider.slot) return 0;
    for (uint64_t place = 0; place < room; place++) wider.slot[place].key = NO_KEY;
    for (uint64_t place = 0; place < map->room; place++)
        if (map->slot[place].key != NO_KEY) *place_of(&wider, map->slot[place].key) = map->slot[place];
    free(map->slot);
    *map = wider;
    return 1;
}

/* Makes sure that one more fits. */
static int has_room(Map *map) {
    return map->count * 2 + 2 <= map->room || with_room(map, map->room * 2);
}

/* There has to be room. */
static void put(Map *map, int64_t key, int64_t value) {
    Slot *slot = place_of(map, key);
    map->count += slot->key == NO_KEY;
    *slot = (Slot){key, value};
}

/* What comes behind it, and was moved there by it, moves back. */
static void take_out(Map *map, Slot *slot) {
    uint64_t mask = map->room - 1, hole = (uint64_t)(slot - map->slot), place = hole;
    while (map->slot[place = (place + 1) & mask].key != NO_KEY) {
        uint64_t home = home_of(map, map->slot[place].key);
        if (((place - home) & mask) < ((place - hole) & mask)) continue;
        map->slot[hole] = map->slot[place];
        hole = place;
    }
    map->slot[hole].key = NO_KEY;
    map->count--;
}
