/*
 * pickle_ops.c - all opcodes of protocols 0 to 5. A pickle is a program for a stack machine, one byte an opcode, each
 * followed by its argument. Source: the documentation in CPython's pickletools module.
 *
 * Lengths are compared with the bytes that are left before anything is done with them; nothing is allocated here.
 */
#include "parse/pickle_ops.h"

#include "base/le.h"

#include <string.h>

#define BARE H5CK_PICKLE_BARE
#define LINE H5CK_PICKLE_LINE

/* The index is the opcode; printable ones are written as what pickletools shows. */
static const h5ck_pickle_op table[256] = {
    ['('] = {"MARK", BARE, NULL},
    ['.'] = {"STOP", BARE, NULL},
    ['0'] = {"POP", BARE, NULL},
    ['1'] = {"POP_MARK", BARE, NULL},
    ['2'] = {"DUP", BARE, NULL},
    ['F'] = {"FLOAT", LINE, NULL},
    ['I'] = {"INT", LINE, NULL},
    ['J'] = {"BININT", H5CK_PICKLE_I4, NULL},
    ['K'] = {"BININT1", H5CK_PICKLE_U1, NULL},
    ['L'] = {"LONG", LINE, NULL},
    ['M'] = {"BININT2", H5CK_PICKLE_U2, NULL},
    ['N'] = {"NONE", BARE, NULL},
    ['P'] = {"PERSID", LINE, NULL},
    ['Q'] = {"BINPERSID", BARE, NULL},
    ['R'] = {"REDUCE", BARE, NULL},
    ['S'] = {"STRING", LINE, NULL},
    ['T'] = {"BINSTRING", H5CK_PICKLE_DATA4S, NULL},
    ['U'] = {"SHORT_BINSTRING", H5CK_PICKLE_DATA1, NULL},
    ['V'] = {"UNICODE", LINE, NULL},
    ['X'] = {"BINUNICODE", H5CK_PICKLE_DATA4, NULL},
    ['a'] = {"APPEND", BARE, NULL},
    ['b'] = {"BUILD", BARE, NULL},
    ['c'] = {"GLOBAL", H5CK_PICKLE_TWO_LINES, NULL},
    ['d'] = {"DICT", BARE, NULL},
    ['e'] = {"APPENDS", BARE, NULL},
    ['g'] = {"GET", LINE, NULL},
    ['h'] = {"BINGET", H5CK_PICKLE_U1, NULL},
    ['i'] = {"INST", H5CK_PICKLE_TWO_LINES, "an old-style instance"},
    ['j'] = {"LONG_BINGET", H5CK_PICKLE_U4, NULL},
    ['l'] = {"LIST", BARE, NULL},
    ['o'] = {"OBJ", BARE, "an old-style instance"},
    ['p'] = {"PUT", LINE, NULL},
    ['q'] = {"BINPUT", H5CK_PICKLE_U1, NULL},
    ['r'] = {"LONG_BINPUT", H5CK_PICKLE_U4, NULL},
    ['s'] = {"SETITEM", BARE, NULL},
    ['t'] = {"TUPLE", BARE, NULL},
    ['u'] = {"SETITEMS", BARE, NULL},
    ['}'] = {"EMPTY_DICT", BARE, NULL},
    [']'] = {"EMPTY_LIST", BARE, NULL},
    [')'] = {"EMPTY_TUPLE", BARE, NULL},
    ['G'] = {"BINFLOAT", H5CK_PICKLE_F8, NULL},
    ['B'] = {"BINBYTES", H5CK_PICKLE_DATA4, NULL},
    ['C'] = {"SHORT_BINBYTES", H5CK_PICKLE_DATA1, NULL},
    /* protocol 2 */
    [0x80] = {"PROTO", H5CK_PICKLE_U1, NULL},
    [0x81] = {"NEWOBJ", BARE, NULL},
    [0x82] = {"EXT1", H5CK_PICKLE_U1, "an extension code"},
    [0x83] = {"EXT2", H5CK_PICKLE_U2, "an extension code"},
    [0x84] = {"EXT4", H5CK_PICKLE_I4, "an extension code"},
    [0x85] = {"TUPLE1", BARE, NULL},
    [0x86] = {"TUPLE2", BARE, NULL},
    [0x87] = {"TUPLE3", BARE, NULL},
    [0x88] = {"NEWTRUE", BARE, NULL},
    [0x89] = {"NEWFALSE", BARE, NULL},
    [0x8a] = {"LONG1", H5CK_PICKLE_DATA1, NULL},
    [0x8b] = {"LONG4", H5CK_PICKLE_DATA4S, NULL},
    /* protocol 4 */
    [0x8c] = {"SHORT_BINUNICODE", H5CK_PICKLE_DATA1, NULL},
    [0x8d] = {"BINUNICODE8", H5CK_PICKLE_DATA8, NULL},
    [0x8e] = {"BINBYTES8", H5CK_PICKLE_DATA8, NULL},
    [0x8f] = {"EMPTY_SET", BARE, "a set"},
    [0x90] = {"ADDITEMS", BARE, "a set"},
    [0x91] = {"FROZENSET", BARE, "a set"},
    [0x92] = {"NEWOBJ_EX", BARE, NULL},
    [0x93] = {"STACK_GLOBAL", BARE, NULL},
    [0x94] = {"MEMOIZE", BARE, NULL},
    [0x95] = {"FRAME", H5CK_PICKLE_U8, NULL},
    /* protocol 5 */
    [0x96] = {"BYTEARRAY8", H5CK_PICKLE_DATA8, NULL},
    [0x97] = {"NEXT_BUFFER", BARE, "a buffer outside of the pickle"},
    [0x98] = {"READONLY_BUFFER", BARE, "a buffer outside of the pickle"},
};

/* Bytes of the number (or length) at the head of an argument, by form. */
static unsigned head_bytes(h5ck_pickle_form form)
{
    switch (form) {
    case H5CK_PICKLE_U1:
    case H5CK_PICKLE_DATA1:
        return 1;
    case H5CK_PICKLE_U2:
        return 2;
    case H5CK_PICKLE_U4:
    case H5CK_PICKLE_I4:
    case H5CK_PICKLE_DATA4:
    case H5CK_PICKLE_DATA4S:
        return 4;
    case H5CK_PICKLE_U8:
    case H5CK_PICKLE_F8:
    case H5CK_PICKLE_DATA8:
        return 8;
    case H5CK_PICKLE_BARE:
    case H5CK_PICKLE_LINE:
    case H5CK_PICKLE_TWO_LINES:
        break;
    }
    return 0;
}

static uint64_t big_endian(const unsigned char *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* Takes a line off [*pos, len). */
static int take_line(const unsigned char *data, size_t len, size_t *pos, const h5ck_pickle_item *item,
                     const unsigned char **line, size_t *line_len, h5ckpt_error **err)
{
    const unsigned char *start = data + *pos, *end = *pos < len ? memchr(start, '\n', len - *pos) : NULL;
    if (!end)
        return h5ck_fail_at(err, item->at, "expected a newline behind the argument of %s, found the end",
                            item->op->name);
    *line = start;
    *line_len = (size_t)(end - start);
    *pos += *line_len + 1;
    return 0;
}

static int take_data(const unsigned char *data, size_t len, size_t *pos, h5ck_pickle_item *item, h5ckpt_error **err)
{
    if (item->op->form == H5CK_PICKLE_DATA4S && item->number > INT32_MAX)
        return h5ck_fail_at(err, item->at, "expected a length of %s that is not negative, found %ld", item->op->name,
                            (long)(int32_t)(uint32_t)item->number);
    if (item->number > len - *pos)
        return h5ck_fail_at(err, item->at, "expected %llu bytes behind %s, found %zu", (unsigned long long)item->number,
                            item->op->name, len - *pos);
    item->data = data + *pos;
    item->len = (size_t)item->number;
    *pos += item->len;
    return 0;
}

int h5ck_pickle_next(const unsigned char *data, size_t len, size_t *pos, h5ck_pickle_item *item, h5ckpt_error **err)
{
    *item = (h5ck_pickle_item){.at = *pos};
    if (*pos >= len)
        return h5ck_fail_at(err, *pos, "expected an opcode of the pickle, found the end");
    item->code = data[(*pos)++];
    item->op = &table[item->code];
    if (!item->op->name)
        return h5ck_fail_at(err, item->at, "expected an opcode of the pickle, found 0x%02x", item->code);
    h5ck_pickle_form form = item->op->form;
    unsigned head = head_bytes(form);
    if (len - *pos < head)
        return h5ck_fail_at(err, item->at, "expected %u bytes behind %s, found %zu", head, item->op->name, len - *pos);
    item->number = form == H5CK_PICKLE_F8 ? big_endian(data + *pos) : h5ck_le_get(data + *pos, head);
    if (form == H5CK_PICKLE_I4)
        item->number = (uint64_t)(int64_t)(int32_t)(uint32_t)item->number;
    *pos += head;
    int rc = 0;
    if (form == H5CK_PICKLE_LINE || form == H5CK_PICKLE_TWO_LINES)
        rc = take_line(data, len, pos, item, &item->data, &item->len, err);
    if (rc == 0 && form == H5CK_PICKLE_TWO_LINES)
        rc = take_line(data, len, pos, item, &item->data2, &item->len2, err);
    if (form == H5CK_PICKLE_DATA1 || form == H5CK_PICKLE_DATA4 || form == H5CK_PICKLE_DATA4S ||
        form == H5CK_PICKLE_DATA8)
        rc = take_data(data, len, pos, item, err);
    return rc;
}
