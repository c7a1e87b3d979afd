/*
 * pickle_write.c - the protocol 2 pickle that CPython's C pickler writes for a value.
 *
 * Every object but None, bools, numbers and () gets a memo number when it is complete (a list or dict, which may
 * contain itself, before its items) and is written as a BINGET when it comes again. Which objects are the same object,
 * a value does not say; taken as the same are those that CPython itself keeps once:
 *
 *     equal str                      attribute names and literals, which CPython interns
 *     a class or function            written as GLOBAL once
 *     bytes of length 0 and 1, text of length 1
 *     a dtype, numpy.True_, numpy.False_
 *
 * Lists and dicts go in batches of 1000: MARK, items, APPENDS or SETITEMS; a single item goes without a MARK. A dict of
 * a multiple of 1000 items ends in an empty batch, a list does not: so CPython counts. Bytes are `_codecs.encode(text,
 * 'latin1')`, for protocol 2 has none.
 *
 * A value with anything of Python 2 in it is written for Python 2: its `str` and `long` as such, NumPy's own strings as
 * `str`, and an int beyond 32 bits as text INT, because LONG1 would make it a `long`.
 *
 * Sources: the documentation of the opcodes in pickletools, and what CPython 3.7 and 3.11 and NumPy 1.21 write.
 */
#include "base/le.h"
#include "base/text.h"
#include "model/dict.h"
#include "model/dtype.h"
#include "model/value.h"
#include "parse/pickle.h"
#include "parse/pickle_graph.h"
#include "parse/pickle_text.h"

#include <inttypes.h>
#include <string.h>

enum { BATCH = 1000, DTYPES = 32 };

typedef struct writer {
    h5ck_buf *out;
    h5ckpt_error **err;
    h5ck_arena arena;         /* of the memo's keys */
    uint32_t memoized;        /* the next memo number */
    h5ck_dict texts, globals; /* text, "module\nname" -> memo number + 1, as a pointer */
    h5ck_dict strs;           /* Python 2's */
    uint32_t bytes[257];      /* memo number + 1 of b'\0' to b'\xff', and of b'' */
    uint32_t dtypes[DTYPES];  /* by h5ckpt_dtype */
    uint32_t numpy_bools[2];
    size_t values, content; /* so far, against the reader's limits: what is written can be read */
    bool python2;
} writer;

static int put_value(writer *w, const h5ckpt_value *v, int depth);

/* ---- Opcodes ---- */

static void op(writer *w, unsigned code)
{
    h5ck_buf_u8(w->out, code);
}

/* BINGET, BINPUT and their long forms */
static void memo_op(writer *w, unsigned short_code, unsigned long_code, uint32_t index)
{
    op(w, index < 256 ? short_code : long_code);
    h5ck_buf_le(w->out, index, index < 256 ? 1 : 4);
}

/* Gives the object just written its number; returns it + 1. */
static uint32_t memoize(writer *w)
{
    memo_op(w, 'q', 'r', w->memoized);
    return ++w->memoized;
}

/* Refers to an object by its number + 1; false where it has none yet. */
static bool recall(writer *w, uint32_t number)
{
    if (number)
        memo_op(w, 'h', 'j', number - 1);
    return number != 0;
}

static int remember(writer *w, h5ck_dict *memo, const char *key)
{
    return h5ck_dict_set(memo, key, (void *)(uintptr_t)memoize(w)) ? 0 : h5ck_fail_nomem(w->err);
}

static uint32_t find(const h5ck_dict *memo, const char *key)
{
    return (uint32_t)(uintptr_t)h5ck_dict_get(memo, key);
}

/* ---- Numbers ---- */

static int put_long(writer *w, const unsigned char *bytes, size_t len)
{
    if (len > INT32_MAX)
        return h5ck_fail(w->err, H5CKPT_INVALID,
                         "expected an int of less than 2 GiB for a pickle, found one of %zu bytes", len);
    op(w, len < 256 ? 0x8a : 0x8b);
    h5ck_buf_le(w->out, len, len < 256 ? 1 : 4);
    h5ck_buf_add(w->out, bytes, len);
    return 0;
}

static int put_int(writer *w, int64_t i, bool python2_long)
{
    if (!python2_long && i >= INT32_MIN && i <= INT32_MAX) {
        unsigned size = i < 0 || i > 0xffff ? 4 : i > 0xff ? 2 : 1;
        op(w, size == 4 ? 'J' : size == 2 ? 'M' : 'K');
        h5ck_buf_le(w->out, (uint64_t)i, size);
        return 0;
    }
    if (w->python2 && !python2_long) {
        h5ck_buf_printf(w->out, "I%" PRId64 "\n", i);
        return 0;
    }
    unsigned char bytes[8];
    h5ck_le_put(bytes, (uint64_t)i, 8);
    return put_long(w, bytes, h5ck_pickle_trim(bytes, 8));
}

static void put_float(writer *w, double f)
{
    uint64_t bits = h5ck_f64_to_bits(f);
    op(w, 'G');
    for (unsigned shift = 64; shift > 0; shift -= 8)
        h5ck_buf_u8(w->out, (unsigned)(bits >> (shift - 8)) & 0xff);
}

/* ---- Text and bytes ---- */

/* A new text object. */
static int put_new_text(writer *w, const char *s, size_t len)
{
    if (len > UINT32_MAX)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected a str below 4 GiB for a pickle, found %zu bytes", len);
    op(w, 'X');
    h5ck_buf_le(w->out, len, 4);
    h5ck_buf_add(w->out, s, len);
    return 0;
}

/* A new Python 2 `str`. */
static int put_new_str(writer *w, const void *s, size_t len)
{
    if (len > INT32_MAX)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected a str below 2 GiB for a pickle, found %zu bytes", len);
    op(w, len < 256 ? 'U' : 'T');
    h5ck_buf_le(w->out, len, len < 256 ? 1 : 4);
    h5ck_buf_add(w->out, s, len);
    return 0;
}

/* Text of which CPython has one object; `s` ends in a zero. */
static int put_text(writer *w, const char *s, size_t len)
{
    if (recall(w, find(&w->texts, s)))
        return 0;
    int rc = put_new_text(w, s, len);
    return rc ? rc : remember(w, &w->texts, s);
}

/* Text with zeros in it is no key of the memo; a distinct one takes the place of its equal in it. */
static int put_text_value(writer *w, const h5ckpt_value *v)
{
    bool zeros = memchr(v->as.str, 0, v->count) != NULL;
    if (!zeros && !v->distinct)
        return put_text(w, v->as.str, v->count);
    int rc = put_new_text(w, v->as.str, v->count);
    if (rc)
        return rc;
    if (!zeros)
        return remember(w, &w->texts, v->as.str);
    memoize(w);
    return 0;
}

static int put_str(writer *w, const char *s, size_t len)
{
    if (recall(w, find(&w->strs, s)))
        return 0;
    int rc = put_new_str(w, s, len);
    return rc ? rc : remember(w, &w->strs, s);
}

static int put_global(writer *w, const char *module, const char *name)
{
    size_t a = strlen(module), b = strlen(name);
    char *key = h5ck_arena_alloc(&w->arena, a + b + 2);
    if (!key)
        return h5ck_fail_nomem(w->err);
    memcpy(key, module, a);
    key[a] = '\n';
    memcpy(key + a + 1, name, b + 1);
    if (recall(w, find(&w->globals, key)))
        return 0;
    op(w, 'c');
    h5ck_buf_str(w->out, key);
    op(w, '\n');
    return remember(w, &w->globals, key);
}

/* The text of which each character is a byte. One character is an object that CPython has once. */
static int put_latin1(writer *w, const unsigned char *bytes, size_t len)
{
    if (len == 1) {
        char text[3] = {(char)bytes[0], 0, 0};
        if (bytes[0] >= 0x80) {
            text[0] = (char)(0xc0 | bytes[0] >> 6);
            text[1] = (char)(0x80 | (bytes[0] & 0x3f));
        }
        char *kept = h5ck_arena_strdup(&w->arena, text);
        if (!kept)
            return h5ck_fail_nomem(w->err);
        if (bytes[0]) /* a zero byte is no key: b'\0' itself is found by the memo of bytes */
            return put_text(w, kept, strlen(kept));
    }
    size_t high = 0;
    for (size_t i = 0; i < len; i++)
        high += bytes[i] >> 7;
    if (len > UINT32_MAX - high)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected bytes below 4 GiB for a pickle, found %zu", len);
    op(w, 'X');
    h5ck_buf_le(w->out, len + high, 4);
    if (!h5ck_buf_reserve(w->out, len + high))
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] >= 0x80)
            h5ck_buf_u8(w->out, 0xc0u | bytes[i] >> 6);
        h5ck_buf_u8(w->out, bytes[i] >= 0x80 ? 0x80u | (bytes[i] & 0x3fu) : bytes[i]);
    }
    memoize(w);
    return 0;
}

static int put_bytes(writer *w, const unsigned char *bytes, size_t len)
{
    uint32_t *known = len == 0 ? &w->bytes[256] : len == 1 ? &w->bytes[bytes[0]] : NULL, number;
    if (known && recall(w, *known))
        return 0;
    int rc = len == 0 ? put_global(w, "__builtin__", "bytes") : put_global(w, "_codecs", "encode");
    if (rc == 0 && len)
        rc = put_latin1(w, bytes, len);
    if (rc == 0 && len)
        rc = put_text(w, "latin1", 6);
    if (rc)
        return rc;
    op(w, len == 0 ? ')' : 0x86);
    if (len)
        memoize(w);
    op(w, 'R');
    number = memoize(w);
    if (known)
        *known = number;
    return 0;
}

/* Python 2's bytes are a `str`. */
static int put_raw_str(writer *w, const unsigned char *bytes, size_t len)
{
    int rc = put_new_str(w, bytes, len);
    if (rc == 0)
        memoize(w);
    return rc;
}

/* ---- NumPy ---- */

/* The strings and bytes of NumPy's own forms. */
static int put_numpy_text(writer *w, const char *s)
{
    if (w->python2)
        return put_raw_str(w, (const unsigned char *)s, strlen(s));
    if (strlen(s) == 1)
        return put_text(w, s, 1);
    int rc = put_new_text(w, s, strlen(s)); /* made anew by each call */
    if (rc == 0)
        memoize(w);
    return rc;
}

static int put_numpy_bytes(writer *w, const void *bytes, size_t len)
{
    return w->python2 ? put_raw_str(w, bytes, len) : put_bytes(w, bytes, len);
}

static void put_minus_one(writer *w)
{
    op(w, 'J');
    h5ck_buf_le(w->out, UINT32_MAX, 4);
}

/* numpy.dtype('f4', False, True), and its state */
static int put_dtype(writer *w, h5ckpt_dtype id)
{
    const h5ck_dtype *dtype = h5ck_dtype_get(id);
    if (!dtype || !dtype->numpy)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected an element type that NumPy can pickle, found %s",
                         dtype ? dtype->name : "none");
    if (recall(w, w->dtypes[id]))
        return 0;
    int rc = put_global(w, "numpy", "dtype");
    if (rc == 0)
        rc = put_numpy_text(w, dtype->numpy);
    if (rc)
        return rc;
    op(w, 0x89);
    op(w, 0x88);
    op(w, 0x87);
    memoize(w);
    op(w, 'R');
    w->dtypes[id] = memoize(w);
    op(w, '(');
    put_int(w, 3, false);
    rc = put_numpy_text(w, dtype->size == 1 ? "|" : "<");
    if (rc)
        return rc;
    for (int i = 0; i < 3; i++)
        op(w, 'N');
    put_minus_one(w);
    put_minus_one(w);
    put_int(w, 0, false);
    op(w, 't');
    memoize(w);
    op(w, 'b');
    return 0;
}

static int put_scalar(writer *w, const h5ckpt_array *a)
{
    uint32_t *known = NULL, number;
    if (a->dtype == H5CKPT_DTYPE_BOOL && a->nbytes == 1 && *(const unsigned char *)a->data <= 1)
        known = &w->numpy_bools[*(const unsigned char *)a->data];
    if (known && recall(w, *known))
        return 0;
    int rc = put_global(w, "numpy.core.multiarray", "scalar");
    if (rc == 0)
        rc = put_dtype(w, a->dtype);
    if (rc == 0)
        rc = put_numpy_bytes(w, a->data, a->nbytes);
    if (rc)
        return rc;
    op(w, 0x86);
    memoize(w);
    op(w, 'R');
    number = memoize(w);
    if (known)
        *known = number;
    return 0;
}

/* numpy.core.multiarray._reconstruct(ndarray, (0,), b'b') */
static int put_empty_array(writer *w)
{
    int rc = put_global(w, "numpy.core.multiarray", "_reconstruct");
    if (rc == 0)
        rc = put_global(w, "numpy", "ndarray");
    if (rc)
        return rc;
    put_int(w, 0, false);
    op(w, 0x85);
    memoize(w);
    rc = put_numpy_bytes(w, "b", 1);
    if (rc)
        return rc;
    op(w, 0x87);
    memoize(w);
    op(w, 'R');
    memoize(w);
    return 0;
}

/* Ends a tuple of `count` items behind (where more than 3) its MARK. */
static void end_tuple(writer *w, size_t count)
{
    op(w, count == 0 ? ')' : count <= 3 ? 0x84 + (unsigned)count : 't');
    if (count)
        memoize(w);
}

static int put_array(writer *w, const h5ckpt_array *a)
{
    int rc = put_empty_array(w);
    if (rc)
        return rc;
    op(w, '(');
    put_int(w, 1, false);
    if (a->rank > 3)
        op(w, '(');
    for (size_t i = 0; i < a->rank; i++) {
        if (a->shape[i] > INT64_MAX)
            return h5ck_fail(w->err, H5CKPT_INVALID, "expected a dimension below 2^63 for a pickle");
        put_int(w, (int64_t)a->shape[i], false);
    }
    end_tuple(w, a->rank);
    rc = put_dtype(w, a->dtype);
    if (rc)
        return rc;
    op(w, 0x89);
    rc = put_numpy_bytes(w, a->data, a->nbytes);
    if (rc)
        return rc;
    op(w, 't');
    memoize(w);
    op(w, 'b');
    return 0;
}

/* ---- Containers ---- */

static int put_tuple(writer *w, const h5ckpt_value *v, int depth)
{
    if (v->count > 3)
        op(w, '(');
    for (size_t i = 0; i < v->count; i++) {
        int rc = put_value(w, &v->as.items[i], depth + 1);
        if (rc)
            return rc;
    }
    end_tuple(w, v->count);
    return 0;
}

static int put_list(writer *w, const h5ckpt_value *v, int depth)
{
    op(w, ']');
    memoize(w);
    for (size_t i = 0; i < v->count; i++) {
        if (v->count > 1 && i % BATCH == 0)
            op(w, '(');
        int rc = put_value(w, &v->as.items[i], depth + 1);
        if (rc)
            return rc;
        if (v->count > 1 && (i + 1 == v->count || (i + 1) % BATCH == 0))
            op(w, 'e');
    }
    if (v->count == 1)
        op(w, 'a');
    return 0;
}

static int put_fields(writer *w, const h5ckpt_field *fields, size_t count, int depth)
{
    op(w, '}');
    memoize(w);
    for (size_t i = 0; i < count; i++) {
        if (count > 1 && i % BATCH == 0)
            op(w, '(');
        int rc = put_value(w, &fields[i].key, depth + 1);
        if (rc == 0)
            rc = put_value(w, &fields[i].value, depth + 1);
        if (rc)
            return rc;
        if (count > 1 && (i + 1 == count || (i + 1) % BATCH == 0))
            op(w, 'u');
    }
    if (count == 1)
        op(w, 's');
    if (count && count % BATCH == 0)
        h5ck_buf_add(w->out, "(u", 2);
    return 0;
}

static int put_object(writer *w, const h5ckpt_object *o, int depth)
{
    /* The names become lines of the pickle: nothing but identifiers may get there. */
    char shown[80];
    const char *bad = !h5ck_text_is_identifier(o->module, true)       ? o->module
                      : !h5ck_text_is_identifier(o->class_name, true) ? o->class_name
                                                                      : NULL;
    if (bad)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected the name of a module or class for a pickle, found '%s'",
                         h5ck_pickle_shown((const unsigned char *)bad, strlen(bad), shown, sizeof shown));
    if (h5ck_pickle_understands(o->module, o->class_name))
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected an object's class, found %s %s, which means other things",
                         o->module, o->class_name);
    int rc = put_global(w, o->module, o->class_name);
    if (rc)
        return rc;
    op(w, ')');
    op(w, 0x81);
    memoize(w);
    if (o->count == 0)
        return 0;
    rc = put_fields(w, o->fields, o->count, depth);
    op(w, 'b');
    return rc;
}

/* The reader's limits. */
static int charge(writer *w, const h5ckpt_value *v)
{
    size_t bytes = 0;
    if (v->type == H5CKPT_STR || v->type == H5CKPT_BYTES || v->type == H5CKPT_BIGINT)
        bytes = v->count;
    else if (v->type == H5CKPT_ARRAY)
        bytes = v->as.array->nbytes;
    else if (v->type == H5CKPT_OBJECT)
        bytes = strlen(v->as.object->module) + strlen(v->as.object->class_name);
    if (++w->values > H5CK_PICKLE_NODES)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected at most %d values in a pickle, found more",
                         (int)H5CK_PICKLE_NODES);
    if (bytes > H5CK_PICKLE_BYTES - w->content)
        return h5ck_fail(w->err, H5CKPT_INVALID,
                         "expected at most %d bytes of text and elements in a pickle, found more",
                         (int)H5CK_PICKLE_BYTES);
    w->content += bytes;
    return 0;
}

static int put_value(writer *w, const h5ckpt_value *v, int depth)
{
    if (depth > H5CK_VALUE_DEPTH)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected values nested at most %d deep, found deeper ones",
                         (int)H5CK_VALUE_DEPTH);
    int rc = charge(w, v);
    if (rc)
        return rc;
    if (w->out->failed)
        return h5ck_fail_nomem(w->err);
    switch (v->type) {
    case H5CKPT_NONE:
        op(w, 'N');
        return 0;
    case H5CKPT_BOOL:
        op(w, v->as.i ? 0x88 : 0x89);
        return 0;
    case H5CKPT_INT:
        return put_int(w, v->as.i, v->python2);
    case H5CKPT_FLOAT:
        put_float(w, v->as.f);
        return 0;
    case H5CKPT_STR:
        return v->python2 ? put_str(w, v->as.str, v->count) : put_text_value(w, v);
    case H5CKPT_BYTES:
        return v->python2 ? put_raw_str(w, v->as.bytes, v->count) : put_bytes(w, v->as.bytes, v->count);
    case H5CKPT_BIGINT:
        return put_long(w, v->as.bytes, h5ck_pickle_trim(v->as.bytes, v->count));
    case H5CKPT_LIST:
        return put_list(w, v, depth);
    case H5CKPT_TUPLE:
        return put_tuple(w, v, depth);
    case H5CKPT_DICT:
        return put_fields(w, v->as.fields, v->count, depth);
    case H5CKPT_OBJECT:
        return put_object(w, v->as.object, depth);
    case H5CKPT_ARRAY:
        return v->as.array->scalar ? put_scalar(w, v->as.array) : put_array(w, v->as.array);
    }
    return h5ck_fail(w->err, H5CKPT_INVALID, "a value of the unknown type %d", (int)v->type);
}

/* Whether anything in a value is Python 2's. Depth is checked here too: it comes before put_value. */
static bool has_python2(const h5ckpt_value *v, int depth)
{
    if (v->python2)
        return true;
    if (depth > H5CK_VALUE_DEPTH)
        return false;
    const h5ckpt_field *fields = v->type == H5CKPT_DICT     ? v->as.fields
                                 : v->type == H5CKPT_OBJECT ? v->as.object->fields
                                                            : NULL;
    size_t count = v->type == H5CKPT_OBJECT ? v->as.object->count : v->count;
    for (size_t i = 0; fields && i < count; i++)
        if (has_python2(&fields[i].key, depth + 1) || has_python2(&fields[i].value, depth + 1))
            return true;
    for (size_t i = 0; (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE) && i < count; i++)
        if (has_python2(&v->as.items[i], depth + 1))
            return true;
    return false;
}

int h5ck_pickle_write(const h5ckpt_value *value, h5ck_buf *out, h5ckpt_error **err)
{
    size_t before = out->len;
    writer w = {.out = out, .err = err, .python2 = has_python2(value, 0)};
    h5ck_buf_add(out, "\x80\x02", 2);
    int rc = put_value(&w, value, 0);
    op(&w, '.');
    if (rc == 0 && out->failed)
        rc = h5ck_fail_nomem(err);
    if (rc)
        out->len = before;
    h5ck_dict_free(&w.texts);
    h5ck_dict_free(&w.globals);
    h5ck_dict_free(&w.strs);
    h5ck_arena_free(&w.arena);
    return rc;
}
