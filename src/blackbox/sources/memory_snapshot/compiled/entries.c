/* The entries of a memory snapshot's trace, read out of the bytes of a pickle into columns of whole numbers.

What an entry looks like is said by `Shape`, which Python has learnt from the first one of each kind (`entry_shape.py`).
This file does what the regular expressions there do, entry for entry: it reads the same entries, or stops before one
that it does not know. It knows nothing of Python, makes no object, and calls nothing that a file could name.

The bytes may come from anyone. Every read is checked against `end`; what is kept grows with the file alone. */

#include "values.h"

enum { KEYS_MAX = 24, SHAPES_MAX = 16, REFERENCE_BYTES_MAX = 5, TEXT_BYTES_MAX = 127 };

/* Opcodes of pickle that stand in an entry. */
enum {
    MARK = '(', EMPTY_DICT = '}', EMPTY_LIST = ']', APPEND = 'a', APPENDS = 'e', SETITEMS = 'u', TUPLE2 = 0x86,
    MEMOIZE = 0x94, BINGET = 'h', LONG_BINGET = 'j', BININT1 = 'K', BININT2 = 'M', BININT = 'J', LONG1 = 0x8a,
    SHORT_BINUNICODE = 0x8c, NONE = 'N', NEWTRUE = 0x88, NEWFALSE = 0x89
};

/* What may stand at a key, in `reader.py`'s words; a reference to what stands elsewhere may stand at any. */
enum { SCALAR, LIST, TEXT, PAIR };

/* The columns of a row, in `reader.py`'s order. The first ones hold numbers, the others numbers of values. */
enum { ADDRESS, SIZE, STREAM, TIME, DEVICE_FREE, ACTION, FRAMES, TAG, POOL, CATEGORY, COLUMNS, NO_COLUMN = 255 };

/* In a table of what numbers of values stand for: nobody has told yet. */
enum { UNTOLD = INT32_MIN };

/* How a call ended, in `reader.py`'s words. */
enum { DONE, UNEXPECTED, NO_MEMORY };

/* In the column of what the driver said was free: no key tells it, or what stands there is no such number. */
enum { NOT_TOLD = -1, NO_NUMBER = -2 };

/* Of something remembered: an entry, to which nothing refers; or something that Python read. Else a value's number. */
enum { IGNORED = 0, FOREIGN = -1 };

typedef struct {
    uint8_t column, kind, length;
    uint8_t reference[REFERENCE_BYTES_MAX]; /* to the text of the key */
} Key;

typedef struct {
    int32_t keys;
    Key key[KEYS_MAX];
} Shape;

typedef struct {
    Shape shape[SHAPES_MAX];
    int32_t shapes, last_shape;
    int32_t *memo; /* of everything remembered */
    uint64_t memo_count, memo_room;
    Values values;
} Reader;

typedef struct {
    int64_t position; /* where the last entry ends */
    int64_t rows;
    int64_t memo_count, value_count;
    uint32_t shapes; /* bit by bit: those that were met */
    int32_t status;
} Outcome;

static int remember(Reader *reader, int32_t what) {
    if (reader->memo_count >= INT32_MAX) return 0;
    if (!grow((void **)&reader->memo, &reader->memo_room, reader->memo_count + 1, sizeof *reader->memo)) return 0;
    reader->memo[reader->memo_count++] = what;
    return 1;
}

static int is_reference(uint8_t opcode) {
    return opcode == BINGET || opcode == LONG_BINGET;
}

/* Where what stands at `at` ends; NULL where it is no reference, or cut off. */
static const uint8_t *end_of_reference(const uint8_t *at, const uint8_t *end) {
    if (at >= end || !is_reference(*at)) return NULL;
    ptrdiff_t length = *at == BINGET ? 2 : 5;
    return end - at >= length ? at + length : NULL;
}

static const uint8_t *end_of_number(const uint8_t *at, const uint8_t *end, int with_long) {
    ptrdiff_t length;
    if (at >= end) return NULL;
    if (*at == BININT1) length = 2;
    else if (*at == BININT2) length = 3;
    else if (*at == BININT) length = 5;
    else if (*at == LONG1 && with_long && end - at >= 2 && at[1] >= 5 && at[1] <= 8) length = 2 + at[1];
    else return NULL;
    return end - at >= length ? at + length : NULL;
}

static const uint8_t *end_of_list(const uint8_t *at, const uint8_t *end) {
    if (end - at < 3 || at[0] != EMPTY_LIST || at[1] != MEMOIZE) return NULL;
    at += 2;
    const uint8_t *next;
    if (*at == MARK) {
        /* a table, as which of the two comes next cannot be guessed: most of the time is spent here */
        static const uint8_t lengths[256] = {[BINGET] = 2, [LONG_BINGET] = 5};
        const uint8_t *first = ++at;
        for (ptrdiff_t length; at < end && (length = lengths[*at]) && end - at >= length;) at += length;
        return at > first && at < end && *at == APPENDS ? at + 1 : NULL;
    }
    next = end_of_reference(at, end);
    if (next && next < end && *next == APPEND) return next + 1;
    return is_reference(*at) || *at == SETITEMS ? at : NULL; /* an empty one: the next key, or the end of the entry */
}

static const uint8_t *end_of_text(const uint8_t *at, const uint8_t *end) {
    if (end - at < 3 || at[0] != SHORT_BINUNICODE || at[1] > TEXT_BYTES_MAX || end - at < at[1] + 3) return NULL;
    at += 2 + at[1];
    return *at == MEMOIZE ? at + 1 : NULL;
}

static const uint8_t *end_of_pair(const uint8_t *at, const uint8_t *end) {
    at = end_of_number(at, end, 0);
    if (at) at = end_of_number(at, end, 0);
    return at && end - at >= 2 && at[0] == TUPLE2 && at[1] == MEMOIZE ? at + 2 : NULL;
}

static const uint8_t *end_of_scalar(const uint8_t *at, const uint8_t *end) {
    if (at < end && (*at == NONE || *at == NEWTRUE || *at == NEWFALSE)) return at + 1;
    return end_of_number(at, end, 1);
}

static const uint8_t *end_of_value(const uint8_t *at, const uint8_t *end, int kind) {
    const uint8_t *found = end_of_reference(at, end);
    if (found) return found;
    if (kind == LIST) return end_of_list(at, end);
    if (kind == TEXT) return end_of_text(at, end);
    if (kind == PAIR) return end_of_pair(at, end);
    return end_of_scalar(at, end);
}

/* Where the entry of that shape ends that begins at `at`, and where its values are; NULL where there is none. */
static const uint8_t *match(Reader *reader, const Shape *shape, const uint8_t *at, const uint8_t *end, Span *values) {
    if (end - at < 4 || at[0] != EMPTY_DICT || at[1] != MEMOIZE || at[2] != MARK) return NULL;
    at += 3;
    for (int32_t place = 0; place < shape->keys; place++) {
        const Key *key = &shape->key[place];
        if (end - at <= key->length || at[0] != key->reference[0] || at[1] != key->reference[1]
            || (key->length > 2 && memcmp(at, key->reference, key->length))) return NULL; /* most are of two bytes */
        at += key->length;
        int32_t number = key->kind == LIST ? guessed(&reader->values, at, end) : 0;
        const uint8_t *after = number ? at + reader->values.value[number].length : end_of_value(at, end, key->kind);
        if (!after) return NULL;
        values[place] = (Span){at, after, number};
        at = after;
    }
    return at < end && *at == SETITEMS ? at + 1 : NULL;
}

static uint64_t four_bytes(const uint8_t *at) {
    return at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

/* A whole number, as it is written; 0 where it is none. */
static int whole_number(Span span, int64_t *number) {
    const uint8_t *at = span.at + 1;
    uint64_t read = 0;
    int bytes = (int)(span.end - at), is_signed = *span.at == BININT || *span.at == LONG1;
    if (*span.at == LONG1) at++, bytes--;
    else if (*span.at != BININT1 && *span.at != BININT2 && *span.at != BININT) return 0;
    switch (bytes) { /* each a few instructions, where a loop takes a branch for each byte */
    case 1: read = at[0]; break;
    case 2: read = at[0] | (uint64_t)at[1] << 8; break;
    case 4: read = four_bytes(at); break;
    case 6: read = four_bytes(at) | (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40; break;
    case 7: read = four_bytes(at) | four_bytes(at + 3) >> 8 << 32; break;
    default: for (int place = 0; place < bytes; place++) read |= (uint64_t)at[place] << 8 * place;
    }
    if (is_signed && bytes < 8 && at[bytes - 1] & 0x80) read |= ~(uint64_t)0 << 8 * bytes;
    memcpy(number, &read, sizeof read);
    return 1;
}

/* The number of the value that is referred to; 0 where that cannot be, or there is no memory for it. */
static int32_t reference(Reader *reader, const uint8_t *at) {
    uint64_t place = at[1];
    if (*at == LONG_BINGET) place |= (uint64_t)at[2] << 8 | (uint64_t)at[3] << 16 | (uint64_t)at[4] << 24;
    if (place >= reader->memo_count) return 0;
    if (reader->memo[place] == FOREIGN) reader->memo[place] = add_value(&reader->values, (Value){0, place, 0, 0});
    return reader->memo[place];
}

/* Appends a row; `stride` is how far apart its columns are. */
static int keep(Reader *reader, const Shape *shape, const Span *values, int64_t *row, int64_t stride) {
    for (int column = 0; column < COLUMNS; column++) row[column * stride] = 0;
    int64_t is_free = NOT_TOLD;
    if (!remember(reader, IGNORED)) return NO_MEMORY;
    for (int32_t place = 0; place < shape->keys; place++) {
        const Key *key = &shape->key[place];
        Span span = values[place];
        int64_t told = 0;
        if (is_reference(*span.at)) {
            if (key->column == NO_COLUMN) continue;
            if (key->column == DEVICE_FREE) is_free = NO_NUMBER;
            else if (key->column < DEVICE_FREE || !(told = reference(reader, span.at))) return UNEXPECTED;
        } else if (key->kind != SCALAR) {
            told = span.number ? span.number : number_of_value(&reader->values, span, reader->memo_count);
            if (!told || !remember(reader, (int32_t)told)) return NO_MEMORY;
            if (key->kind == LIST) note_list(&reader->values, (int32_t)told);
        } else if (key->column == DEVICE_FREE) {
            if (!whole_number(span, &is_free) || is_free < 0) is_free = NO_NUMBER;
        } else if (key->column != NO_COLUMN && (key->column == ACTION || !whole_number(span, &told))) {
            return UNEXPECTED;
        }
        if (key->column < COLUMNS) row[key->column * stride] = told;
        if (key->column == ADDRESS && is_free == NOT_TOLD) is_free = told; /* how 2.0 names it */
    }
    row[DEVICE_FREE * stride] = is_free;
    return DONE;
}

Reader *blackbox_entries_new(void) {
    Reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    if (!begin_values(&reader->values)) {
        free_values(&reader->values);
        free(reader);
        return NULL;
    }
    return reader;
}

void blackbox_entries_free(Reader *reader) {
    if (!reader) return;
    free(reader->memo);
    free_values(&reader->values);
    free(reader);
}

/* Adds a kind of entries; 0 where that cannot be. */
int32_t blackbox_entries_learn(Reader *reader, const Shape *shape) {
    if (reader->shapes >= SHAPES_MAX || shape->keys < 1 || shape->keys > KEYS_MAX) return 0;
    for (int32_t place = 0; place < shape->keys; place++) {
        const Key *key = &shape->key[place];
        if (key->length < 2 || key->length > REFERENCE_BYTES_MAX || key->kind > PAIR) return 0;
        if (key->column >= COLUMNS && key->column != NO_COLUMN) return 0;
    }
    reader->shape[reader->shapes++] = *shape;
    return 1;
}

/* Reads entries of known kinds that follow each other from data[position] on, each beginning at `limit` at the latest,
   no more than `room`. Python has remembered `memo_count` things by now. `columns` has room for `room` numbers each. */
void blackbox_entries_read(Reader *reader, const uint8_t *data, int64_t length, int64_t position, int64_t limit,
                           int64_t memo_count, int64_t *columns, int64_t room, Outcome *outcome) {
    Span values[KEYS_MAX];
    const uint8_t *at = data + position, *end = data + length, *last = data + (limit < length ? limit : length);
    int64_t rows = 0;
    *outcome = (Outcome){position, 0, 0, 0, 0, DONE};
    while (reader->memo_count < (uint64_t)memo_count && outcome->status == DONE)
        if (!remember(reader, FOREIGN)) outcome->status = NO_MEMORY;
    while (outcome->status == DONE && rows < room && at <= last) {
        int32_t number = reader->last_shape, tried = 0;
        const uint8_t *next = NULL, *begin = at;
        if (rows && end - at >= 2 && at[0] == APPENDS && at[1] == MARK) begin += 2; /* a list is written by the thousand */
        for (; tried < reader->shapes; tried++, number = (number + 1) % reader->shapes)
            if ((next = match(reader, &reader->shape[number], begin, end, values))) break;
        if (!next) break;
        outcome->status = keep(reader, &reader->shape[number], values, columns + rows, room);
        outcome->shapes |= 1u << number;
        reader->last_shape = number;
        rows += outcome->status == DONE;
        at = next;
    }
    outcome->position = at - data;
    outcome->rows = rows;
    outcome->memo_count = (int64_t)reader->memo_count;
    outcome->value_count = (int64_t)reader->values.count;
}

/* The number of the kind of the entry that begins at data[position]; -1 where that is none of them. */
int32_t blackbox_entries_kind(Reader *reader, const uint8_t *data, int64_t length, int64_t position) {
    Span values[KEYS_MAX];
    for (int32_t number = 0; number < reader->shapes; number++)
        if (match(reader, &reader->shape[number], data + position, data + length, values)) return number;
    return -1;
}

/* The number of the value that was remembered there. */
int32_t blackbox_entries_memo(const Reader *reader, int64_t place) {
    return reader->memo[place];
}

/* A value: its bytes, and how many things were remembered before it; NULL, and its place, of one that Python read. */
const uint8_t *blackbox_entries_value(const Reader *reader, int64_t number, int64_t *length, int64_t *remembered) {
    const Value *value = &reader->values.value[number];
    *length = value->length;
    *remembered = value->length ? value->remembered : (int64_t)value->offset;
    return value->length ? reader->values.bytes + value->offset : NULL;
}

/* What a table tells of each number of a column, which is below `room`: in one byte each, or in four. Returns the place
   of the first of which it tells nothing yet, or `count`. */
int64_t blackbox_entries_told(const int64_t *column, int64_t place, int64_t count, const int32_t *table, int64_t room,
                              int32_t width, void *told) {
    for (; place < count; place++) {
        int64_t number = column[place];
        if (number < 0 || number >= room || table[number] == UNTOLD) break;
        if (width == 1) ((uint8_t *)told)[place] = (uint8_t)table[number];
        else ((int32_t *)told)[place] = table[number];
    }
    return place;
}
