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
 * A whole state may go in protocol 4 (h5ck_pickle_style): MEMOIZE, STACK_GLOBAL, short text, bytes as they are, without
 * frames, which readers do not ask for. There an array may be left a gap that the mover fills. So that its elements can
 * be used where they are, they begin at a multiple of 64 bytes: before them goes a bytes object of zeros, and a POP.
 *
 * Sources: the documentation of the opcodes in pickletools, and what CPython 3.7 and 3.11 and NumPy 1.21 write.
 */
#include "base/le.h"
#include "base/text.h"
#include "model/dict.h"
#include "model/dtype.h"
#include "model/tensor.h"
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
    size_t values, content;         /* so far, against the reader's limits: what is written can be read */
    const h5ck_pickle_style *style; /* NULL: a decay */
    uint64_t start, gaps;           /* where in `out` the pickle begins; bytes left out of it so far */
    bool python2, protocol4;
} writer;

static int put_value(writer *w, const h5ckpt_value *v, int depth);

/* ---- Opcodes ---- */

static void op(writer *w, unsigned code)
{
    h5ck_buf_u8(w->out, code);
}

/* BINGET, BINPUT and their long forms; in protocol 4 objects are numbered without being told. */
static void memo_op(writer *w, unsigned short_code, unsigned long_code, uint32_t index)
{
    op(w, index < 256 ? short_code : long_code);
    h5ck_buf_le(w->out, index, index < 256 ? 1 : 4);
}

/* Gives the object just written its number; returns it + 1. */
static uint32_t memoize(writer *w)
{
    if (w->protocol4)
        op(w, 0x94);
    else
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
    bool brief = w->protocol4 && len < 256;
    if (len > UINT32_MAX)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected a str below 4 GiB for a pickle, found %zu bytes", len);
    op(w, brief ? 0x8c : 'X');
    h5ck_buf_le(w->out, len, brief ? 1 : 4);
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
    if (w->protocol4) {
        int rc = put_text(w, module, a);
        if (rc == 0)
            rc = put_text(w, name, b);
        if (rc)
            return rc;
        op(w, 0x93);
        return remember(w, &w->globals, key);
    }
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

/* The opcode of a bytes object in protocol 4, and its length. */
static void put_bytes_head(writer *w, uint64_t len)
{
    op(w, len < 256 ? 'C' : len <= UINT32_MAX ? 'B' : 0x8e);
    h5ck_buf_le(w->out, len, len < 256 ? 1 : len <= UINT32_MAX ? 4 : 8);
}

static int put_bytes(writer *w, const unsigned char *bytes, size_t len)
{
    uint32_t *known = len == 0 ? &w->bytes[256] : len == 1 ? &w->bytes[bytes[0]] : NULL, number;
    if (known && recall(w, *known))
        return 0;
    if (w->protocol4) {
        put_bytes_head(w, len);
        h5ck_buf_add(w->out, bytes, len);
        number = memoize(w);
        if (known)
            *known = number;
        return 0;
    }
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

/* An array up to its elements: all of it but the last item of its state. */
static int begin_array(writer *w, h5ckpt_dtype dtype, size_t rank, const uint64_t *shape)
{
    int rc = put_empty_array(w);
    if (rc)
        return rc;
    op(w, '(');
    put_int(w, 1, false);
    if (rank > 3)
        op(w, '(');
    for (size_t i = 0; i < rank; i++) {
        if (shape[i] > INT64_MAX)
            return h5ck_fail(w->err, H5CKPT_INVALID, "expected a dimension below 2^63 for a pickle");
        put_int(w, (int64_t)shape[i], false);
    }
    end_tuple(w, rank);
    rc = put_dtype(w, dtype);
    if (rc == 0)
        op(w, 0x89);
    return rc;
}

static void end_array(writer *w)
{
    op(w, 't');
    memoize(w);
    op(w, 'b');
}

static int put_array(writer *w, const h5ckpt_array *a)
{
    int rc = begin_array(w, a->dtype, a->rank, a->shape);
    if (rc == 0)
        rc = put_numpy_bytes(w, a->data, a->nbytes);
    if (rc == 0)
        end_array(w);
    return rc;
}

/* Moves the elements of a bytes object that comes next to a multiple of H5CK_PICKLE_ALIGN. */
static void pad(writer *w, uint64_t nbytes)
{
    unsigned head = nbytes < 256 ? 2 : nbytes <= UINT32_MAX ? 5 : 9, popped = 3; /* C, its length, POP */
    uint64_t at = w->out->len - w->start + w->gaps + head;
    unsigned need = (unsigned)(-at % H5CK_PICKLE_ALIGN);
    if (need == 0)
        return;
    need += need < popped ? H5CK_PICKLE_ALIGN : 0;
    op(w, 'C');
    op(w, need - popped);
    for (unsigned i = 0; i < need - popped; i++)
        op(w, 0);
    op(w, '0');
}

/* A tensor as an array, its elements left out. Paddle and NumPy have no bfloat16: its bits are uint16's there. */
static int put_tensor(writer *w, const h5ckpt_tensor *t)
{
    h5ckpt_dtype dtype = t->info.dtype == H5CKPT_DTYPE_BFLOAT16 ? H5CKPT_DTYPE_UINT16 : t->info.dtype;
    int rc = begin_array(w, dtype, t->info.rank, t->info.shape);
    if (rc)
        return rc;
    pad(w, t->info.nbytes);
    put_bytes_head(w, t->info.nbytes);
    if (t->info.nbytes) {
        if (w->out->failed)
            return h5ck_fail_nomem(w->err);
        rc = w->style->gap(w->style->user, w->out->len, t, w->err);
        w->gaps += t->info.nbytes;
    }
    memoize(w);
    end_array(w);
    return rc;
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

static int put_appends(writer *w, const h5ckpt_value *v, int depth)
{
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

static int put_list(writer *w, const h5ckpt_value *v, int depth)
{
    op(w, ']');
    memoize(w);
    return put_appends(w, v, depth);
}

static int put_setitems(writer *w, const h5ckpt_field *fields, size_t count, int depth)
{
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

static int put_fields(writer *w, const h5ckpt_field *fields, size_t count, int depth)
{
    op(w, '}');
    memoize(w);
    return put_setitems(w, fields, count, depth);
}

/* What the reader makes of calls and persistent ids; false where an object is neither. */
static bool is_call(const h5ckpt_object *o)
{
    return o->count && (strcmp(o->fields[0].key.as.str, "args") == 0 || strcmp(o->fields[0].key.as.str, "new") == 0);
}

static int put_call(writer *w, const h5ckpt_object *o, int depth)
{
    int rc = 0;
    if (o->fields[0].value.type != H5CKPT_TUPLE)
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected a tuple of arguments for %s %s", o->module, o->class_name);
    if ((rc = put_value(w, &o->fields[0].value, depth + 1)) != 0)
        return rc;
    op(w, strcmp(o->fields[0].key.as.str, "new") == 0 ? 0x81 : 'R');
    memoize(w);
    /* In CPython's order, whatever the fields' is: list, items, state. */
    const h5ckpt_value as_value = {.type = H5CKPT_OBJECT, .as.object = o};
    const h5ckpt_value *list = h5ckpt_value_get(&as_value, "list"), *items = h5ckpt_value_get(&as_value, "items"),
                       *state = h5ckpt_value_get(&as_value, "state");
    size_t known = 1 + (list != NULL) + (items != NULL) + (state != NULL);
    if (known != o->count || (list && list->type != H5CKPT_LIST) || (items && items->type != H5CKPT_DICT))
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected a list, a dict of items and a state only for %s %s",
                         o->module, o->class_name);
    if (list)
        rc = put_appends(w, list, depth + 1);
    if (rc == 0 && items)
        rc = put_setitems(w, items->as.fields, items->count, depth + 1);
    if (rc == 0 && state && (rc = put_value(w, state, depth + 1)) == 0)
        op(w, 'b');
    return rc;
}

/* Objects of a state: a tensor, a persistent id, a call, a global that stands alone. *done is false where it is none of
 * them, or the policy knows nothing of it. */
static int put_state_object(writer *w, const h5ckpt_object *o, int depth, bool *done)
{
    const h5ck_pickle_policy *policy = w->style->policy;
    const h5ckpt_tensor *tensor = w->style->find_tensor ? w->style->find_tensor(w->style->user, o) : NULL;
    *done = true;
    if (tensor)
        return put_tensor(w, tensor);
    if (policy && policy->persistent && !*o->module && strcmp(o->class_name, H5CK_PICKLE_PERSISTENT) == 0 &&
        o->count == 1) {
        int rc = put_value(w, &o->fields[0].value, depth + 1);
        op(w, 'Q');
        return rc;
    }
    if (policy && policy->allows && h5ck_text_is_identifier(o->module, true) &&
        h5ck_text_is_identifier(o->class_name, true) && policy->allows(policy->user, o->module, o->class_name) &&
        (o->count == 0 || is_call(o))) {
        int rc = put_global(w, o->module, o->class_name);
        return rc || o->count == 0 ? rc : put_call(w, o, depth);
    }
    *done = false;
    if (policy && policy->check_object)
        return policy->check_object(policy->user, o, w->err);
    return h5ck_fail(w->err, H5CKPT_INVALID, "expected plain data for a pickle, found an object of the class %s %s",
                     o->module, o->class_name);
}

static int put_object(writer *w, const h5ckpt_object *o, int depth)
{
    bool done = false;
    int rc = w->style ? put_state_object(w, o, depth, &done) : 0;
    if (rc || done)
        return rc;
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
    rc = put_global(w, o->module, o->class_name);
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
    w->values++;
    w->content += w->style ? bytes : 0; /* of a state: counted at the end, for the limits grow with its size */
    if (w->style)
        return 0;
    if (w->values > H5CK_PICKLE_NODES)
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
        return put_int(w, v->as.i, v->python2 && w->python2);
    case H5CKPT_FLOAT:
        put_float(w, v->as.f);
        return 0;
    case H5CKPT_STR:
        return v->python2 && w->python2 ? put_str(w, v->as.str, v->count) : put_text_value(w, v);
    case H5CKPT_BYTES:
        return v->python2 && w->python2 ? put_raw_str(w, v->as.bytes, v->count) : put_bytes(w, v->as.bytes, v->count);
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

static int write_pickle(writer *w, const h5ckpt_value *value)
{
    size_t before = w->out->len;
    w->start = before;
    op(w, 0x80);
    op(w, w->protocol4 ? 4 : 2);
    int rc = put_value(w, value, 0);
    op(w, '.');
    if (rc == 0 && w->out->failed)
        rc = h5ck_fail_nomem(w->err);
    if (rc == 0 && w->style) {
        h5ck_pickle_limits limits = h5ck_pickle_limits_of(true, w->out->len - before + w->gaps);
        if (w->values > limits.values || w->content > limits.bytes)
            rc = h5ck_fail(w->err, H5CKPT_INVALID, "expected at most %zu values in a pickle of this size, found %zu",
                           limits.values, w->values);
    }
    if (rc)
        w->out->len = before;
    h5ck_dict_free(&w->texts);
    h5ck_dict_free(&w->globals);
    h5ck_dict_free(&w->strs);
    h5ck_arena_free(&w->arena);
    return rc;
}

int h5ck_pickle_write(const h5ckpt_value *value, h5ck_buf *out, h5ckpt_error **err)
{
    writer w = {.out = out, .err = err, .python2 = has_python2(value, 0)};
    return write_pickle(&w, value);
}

int h5ck_pickle_write_as(const h5ckpt_value *value, const h5ck_pickle_style *style, h5ck_buf *out, h5ckpt_error **err)
{
    writer w = {.out = out, .err = err, .style = style, .protocol4 = style->protocol >= 4};
    w.python2 = !w.protocol4 && has_python2(value, 0);
    return write_pickle(&w, value);
}
