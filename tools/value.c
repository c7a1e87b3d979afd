/* value - see value.h. */
#include "value.h"

#include "num.h"
#include "term.h"
#include "units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Integers beyond int64 ---- */

enum { BIGINT_DECIMAL_BYTES = 2000, LIMB_DIGITS = 9 };

static char *bigint_hex(const h5ckpt_value *v)
{
    char *text = malloc(v->count * 2 + 3);
    if (!text)
        return NULL;
    strcpy(text, "0x");
    for (size_t i = 0; i < v->count; i++)
        sprintf(text + 2 + 2 * i, "%02x", v->as.bytes[v->count - 1 - i]);
    return text;
}

/* Takes the magnitude byte by byte, from the top, into base-10^9 limbs: limbs = limbs * 256 + byte. */
static size_t to_limbs(const h5ckpt_value *v, bool negative, uint32_t *limbs)
{
    unsigned char magnitude[BIGINT_DECIMAL_BYTES];
    unsigned carry = negative;
    size_t used = 0;
    for (size_t i = 0; i < v->count; i++) {
        unsigned byte = negative ? (v->as.bytes[i] ^ 0xffu) + carry : v->as.bytes[i];
        magnitude[i] = (unsigned char)byte;
        carry = negative ? byte >> 8 : 0;
    }
    for (size_t i = v->count; i-- > 0;) {
        uint64_t more = magnitude[i];
        for (size_t k = 0; k < used; k++) {
            more += (uint64_t)limbs[k] * 256;
            limbs[k] = (uint32_t)(more % 1000000000);
            more /= 1000000000;
        }
        if (more)
            limbs[used++] = (uint32_t)more;
    }
    if (used == 0)
        limbs[used++] = 0;
    return used;
}

char *value_bigint(const h5ckpt_value *v)
{
    uint32_t limbs[BIGINT_DECIMAL_BYTES * 3 / LIMB_DIGITS + 2]; /* a byte is less than 2.41 digits */
    if (v->count > BIGINT_DECIMAL_BYTES)
        return bigint_hex(v);
    bool negative = v->count > 0 && v->as.bytes[v->count - 1] & 0x80;
    size_t used = to_limbs(v, negative, limbs);
    char *text = malloc(used * LIMB_DIGITS + 16);
    if (!text)
        return NULL;
    char *t = text + sprintf(text, "%s%" PRIu32, negative ? "-" : "", limbs[used - 1]);
    for (size_t k = used - 1; k-- > 0;)
        t += sprintf(t, "%09" PRIu32, limbs[k]);
    return text;
}

/* ---- Values ---- */

static void put(FILE *f, const h5ckpt_value *v, size_t limit, unsigned depth);

static void put_rest(FILE *f, size_t count, const char *what)
{
    fprintf(f, "... %zu %s", count, what);
}

static void put_text(FILE *f, const h5ckpt_value *v, size_t limit)
{
    size_t room = limit * 16;
    size_t n = v->count;
    if (n > room)
        for (n = room; n > 0 && ((unsigned char)v->as.str[n] & 0xc0) == 0x80;)
            n--; /* not in the middle of a character */
    putc('\'', f);
    term_put_n(f, v->as.str, n);
    putc('\'', f);
    if (n < v->count)
        put_rest(f, v->count, "bytes");
}

static void put_bytes(FILE *f, const h5ckpt_value *v, size_t limit)
{
    size_t room = limit * 8;
    fputs("b'", f);
    for (size_t i = 0; i < v->count && i < room; i++) {
        unsigned char c = v->as.bytes[i];
        fprintf(f, c >= 0x20 && c < 0x7f && c != '\\' && c != '\'' ? "%c" : "\\x%02x", c);
    }
    putc('\'', f);
    if (v->count > room)
        put_rest(f, v->count, "bytes");
}

static void put_items(FILE *f, const h5ckpt_value *v, size_t limit, unsigned depth)
{
    bool tuple = v->type == H5CKPT_TUPLE;
    putc(tuple ? '(' : '[', f);
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            fputs(", ", f);
        if (i == limit) {
            put_rest(f, v->count, "items");
            break;
        }
        put(f, &v->as.items[i], limit, depth);
    }
    fputs(tuple ? (v->count == 1 ? ",)" : ")") : "]", f);
}

static void put_dict(FILE *f, const h5ckpt_value *v, size_t limit, unsigned depth)
{
    putc('{', f);
    for (size_t i = 0; i < v->count; i++) {
        if (i)
            fputs(", ", f);
        if (i == limit) {
            put_rest(f, v->count, "items");
            break;
        }
        put(f, &v->as.fields[i].key, limit, depth);
        fputs(": ", f);
        put(f, &v->as.fields[i].value, limit, depth);
    }
    putc('}', f);
}

static void put_object(FILE *f, const h5ckpt_object *o, size_t limit, unsigned depth)
{
    term_put(f, o->class_name);
    putc('(', f);
    for (size_t i = 0; i < o->count; i++) {
        if (i)
            fputs(", ", f);
        if (i == limit) {
            put_rest(f, o->count, "fields");
            break;
        }
        term_put_n(f, o->fields[i].key.as.str, o->fields[i].key.count);
        putc('=', f);
        put(f, &o->fields[i].value, limit, depth);
    }
    putc(')', f);
}

static void put_array(FILE *f, const h5ckpt_array *a, size_t limit)
{
    char text[NUM_TEXT];
    size_t size = h5ckpt_dtype_size(a->dtype);
    size_t count = size ? a->nbytes / size : 0;
    if (a->scalar && count == 1) {
        num_text(a->dtype, a->data, NUM_PLAIN, text);
        fputs(text, f);
        return;
    }
    fputs("array(", f);
    units_shape(f, a->rank, a->shape);
    putc(':', f);
    for (size_t i = 0; i < count; i++) {
        if (i == limit) {
            fputs(", ", f);
            put_rest(f, count, "elements");
            break;
        }
        num_text(a->dtype, (const unsigned char *)a->data + size * i, NUM_PLAIN, text);
        fprintf(f, "%s%s", i ? ", " : " ", text);
    }
    putc(')', f);
}

static void put(FILE *f, const h5ckpt_value *v, size_t limit, unsigned depth)
{
    char text[NUM_TEXT], *decimal;
    if (depth == VALUE_MAX_DEPTH) {
        fputs("...", f);
        return;
    }
    switch (v->type) {
    case H5CKPT_NONE:
        fputs("None", f);
        break;
    case H5CKPT_BOOL:
        fputs(v->as.i ? "True" : "False", f);
        break;
    case H5CKPT_INT:
        fprintf(f, "%" PRId64, v->as.i);
        break;
    case H5CKPT_FLOAT:
        num_double_text(v->as.f, NUM_PLAIN, text);
        fputs(text, f);
        break;
    case H5CKPT_STR:
        put_text(f, v, limit);
        break;
    case H5CKPT_BYTES:
        put_bytes(f, v, limit);
        break;
    case H5CKPT_BIGINT:
        decimal = value_bigint(v);
        fprintf(f, "%.200s%s", decimal ? decimal : "?", decimal && strlen(decimal) > 200 ? "..." : "");
        free(decimal);
        break;
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        put_items(f, v, limit, depth + 1);
        break;
    case H5CKPT_DICT:
        put_dict(f, v, limit, depth + 1);
        break;
    case H5CKPT_OBJECT:
        put_object(f, v->as.object, limit, depth + 1);
        break;
    case H5CKPT_ARRAY:
        put_array(f, v->as.array, limit);
        break;
    }
}

void value_put(FILE *f, const h5ckpt_value *v, size_t limit)
{
    put(f, v, limit, 0);
}

void value_put_type(FILE *f, const h5ckpt_value *v)
{
    static const char *const names[] = {
        [H5CKPT_NONE] = "None",   [H5CKPT_BOOL] = "bool",   [H5CKPT_INT] = "int",      [H5CKPT_FLOAT] = "float",
        [H5CKPT_STR] = "str",     [H5CKPT_BYTES] = "bytes", [H5CKPT_BIGINT] = "int",   [H5CKPT_LIST] = "list",
        [H5CKPT_TUPLE] = "tuple", [H5CKPT_DICT] = "dict",   [H5CKPT_OBJECT] = "object"};
    if (v->type == H5CKPT_OBJECT) {
        term_put(f, v->as.object->class_name);
    } else if (v->type == H5CKPT_ARRAY) {
        const char *dtype = h5ckpt_dtype_name(v->as.array->dtype);
        fprintf(f, "numpy.%s%s%s", v->as.array->scalar ? "" : "ndarray of ", dtype ? dtype : "?", "");
    } else if (v->python2) {
        fprintf(f, "Python 2 %s", v->type == H5CKPT_STR || v->type == H5CKPT_BYTES ? "str" : "long");
    } else {
        fputs(names[v->type], f);
        if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE || v->type == H5CKPT_DICT)
            fprintf(f, " of %zu", v->count);
    }
}
