/* The opcodes of a pickle of protocol 2 or 3, written as protocol 4 writes the same data: what is remembered is numbered
   in turn there, and short texts have short lengths. Only what plain data is made of; the bytes may come from anyone. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    BINPUT = 'q', LONG_BINPUT = 'r', MEMOIZE = 0x94, BINUNICODE = 'X', SHORT_BINUNICODE = 0x8c, LONG1 = 0x8a, STOP = '.',
    LENGTH_BYTES = 4, SHORT_MAX = 255
};

/* How long an opcode is whose length is always the same; 0 of all others. */
static const uint8_t LENGTHS[256] = {
    ['('] = 1, ['}'] = 1, [']'] = 1, [')'] = 1, ['u'] = 1, ['s'] = 1, ['a'] = 1, ['e'] = 1, ['t'] = 1, ['N'] = 1,
    [0x85] = 1, [0x86] = 1, [0x87] = 1, [0x88] = 1, [0x89] = 1, [STOP] = 1,
    ['h'] = 2, ['K'] = 2, ['M'] = 3, ['j'] = 5, ['J'] = 5, ['G'] = 9
};

typedef struct {
    int64_t read, written; /* bytes, in one call */
    int64_t remembered;    /* things, in all */
    int32_t at_end;
} Upgrade;

static uint64_t number_at(const uint8_t *at) {
    return at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
}

/* Writes as many whole opcodes as there are; `into` has room for as many bytes. 0 where one is none of these, or what is
   remembered is not numbered in turn. */
int32_t blackbox_pickle_upgrade(Upgrade *upgrade, const uint8_t *data, int64_t length, uint8_t *into) {
    const uint8_t *at = data, *end = data + length;
    uint8_t *to = into;
    int32_t is_known = 1;
    while (at < end && !upgrade->at_end) {
        ptrdiff_t left = end - at, size = LENGTHS[*at];
        if (size == 1) {
            upgrade->at_end = *at == STOP;
            *to++ = *at++;
        } else if (size) {
            if (left < size) break;
            memcpy(to, at, (size_t)size);
            to += size, at += size;
        } else if (*at == BINPUT || *at == LONG_BINPUT) {
            size = *at == BINPUT ? 2 : 1 + LENGTH_BYTES;
            if (left < size) break;
            is_known = (*at == BINPUT ? at[1] : number_at(at + 1)) == (uint64_t)upgrade->remembered;
            if (!is_known) break;
            upgrade->remembered++;
            *to++ = MEMOIZE;
            at += size;
        } else if (*at == LONG1) {
            if (left < 2 || left < 2 + at[1]) break;
            size = 2 + at[1];
            memcpy(to, at, (size_t)size);
            to += size, at += size;
        } else if (*at == BINUNICODE) {
            if (left < 1 + LENGTH_BYTES) break;
            uint64_t text = number_at(at + 1);
            if ((uint64_t)left - 1 - LENGTH_BYTES < text) break;
            if (text <= SHORT_MAX) *to++ = SHORT_BINUNICODE, *to++ = (uint8_t)text;
            else memcpy(to, at, 1 + LENGTH_BYTES), to += 1 + LENGTH_BYTES;
            memcpy(to, at + 1 + LENGTH_BYTES, text);
            to += text, at += 1 + LENGTH_BYTES + text;
        } else {
            is_known = 0;
            break;
        }
    }
    upgrade->read = at - data;
    upgrade->written = to - into;
    return is_known;
}
