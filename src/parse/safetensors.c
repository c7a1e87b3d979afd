/*
 * safetensors.c - reads a safetensors header.
 *
 * Sources: the format's own description, and what the library itself (0.8) takes and refuses, tried out case by case
 * (tests/peers/safetensors_reads.py still does).
 *
 * Refused, as there: a header of more than 100 MB, or longer than its file; what is no JSON; metadata that is not strings;
 * tensors with holes between them, or overlaps, or that do not end with the file; sizes that are not dtype times shape, or
 * that overflow; negative or broken numbers; a dtype it does not know. Refused by the description's words, though the
 * library lets it pass: a name or key that comes twice, a header that does not begin with '{', a tensor as an array.
 * Refused because a state cannot hold it: elements smaller than a byte (F4, F6), scales and AMD's eights (F8_E8M0,
 * F8_..FNUZ), more than 32 axes, a name that is empty or holds a zero byte. Passed over, as there: fields of a tensor
 * that the format does not know.
 *
 * Tensors may stand in the header in any order. So the check for holes needs all offsets first: 24 bytes a tensor, which
 * are sorted only where they are not in order.
 */
#include "parse/safetensors.h"

#include "base/buf.h"
#include "base/ckd.h"
#include "base/le.h"
#include "model/dict.h"
#include "parse/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int h5ck_safetensors_length(const unsigned char *head, uint64_t size, size_t *length, h5ckpt_error **err)
{
    if (size < H5CK_SAFETENSORS_LENGTH)
        return h5ck_fail_at(err, 0, "expected the 8 bytes of the header's length, found a file of %" PRIu64, size);
    uint64_t n = h5ck_le_get(head, H5CK_SAFETENSORS_LENGTH);
    if (n > H5CK_SAFETENSORS_MOST)
        return h5ck_fail_at(err, 0, "expected a header of at most %d bytes, found a length of %" PRIu64,
                            H5CK_SAFETENSORS_MOST, n);
    if (n > size - H5CK_SAFETENSORS_LENGTH)
        return h5ck_fail_at(err, 0, "expected a header of %" PRIu64 " bytes, found %" PRIu64 " more in the file", n,
                            size - H5CK_SAFETENSORS_LENGTH);
    *length = (size_t)n;
    return 0;
}

/* ---- One tensor ---- */

typedef struct span {
    uint64_t begin, end;
    size_t text; /* of the name */
} span;

typedef struct walker {
    h5ck_json j;
    const h5ck_safetensors_visitor *v;
    h5ck_buf name, key;
    h5ck_buf spans; /* of span, one a tensor */
    bool sorted;    /* so far, in the header's order: each begins where the one before ends */
    uint64_t last_end;
    h5ckpt_error **err;
} walker;

static const char *copied(h5ck_buf *to, const h5ck_json_token *t)
{
    to->len = 0;
    h5ck_buf_add(to, t->str, t->len);
    return h5ck_buf_cstr(to);
}

static bool is_key(const h5ck_json_token *t, const char *key)
{
    return t->len == strlen(key) && memcmp(t->str, key, t->len) == 0;
}

static int read_size(walker *w, const h5ck_json_token *t, const char *what, uint64_t *size)
{
    bool negative = t->kind == H5CK_JSON_INT && t->i < 0;
    if (negative || (t->kind != H5CK_JSON_INT && t->kind != H5CK_JSON_UINT))
        return h5ck_fail_at(w->err, w->j.base + t->begin,
                            "expected %s, a whole number of 64 bits that is not negative, found %.*s", what,
                            (int)(t->end - t->begin < 40 ? t->end - t->begin : 40), w->j.text + t->begin);
    *size = t->u;
    return 0;
}

static int read_dtype(walker *w, h5ck_safetensors_entry *e)
{
    h5ck_json_token t;
    int rc = h5ck_json_expect(&w->j, H5CK_JSON_STRING, &t, w->err);
    if (rc)
        return rc;
    const char *name = copied(&w->key, &t);
    if (!name)
        return h5ck_fail_nomem(w->err);
    if ((e->dtype = h5ck_dtype_from_safetensors(name)))
        return 0;
    if (strcmp(name, "F4") == 0 || strncmp(name, "F6_", 3) == 0)
        return h5ck_fail_at(w->err, w->j.base + t.begin, "expected elements of whole bytes, found the dtype '%s'",
                            name);
    return h5ck_fail_at(w->err, w->j.base + t.begin, "expected a dtype that h5ckpt knows, found '%s'", name);
}

static int read_shape(walker *w, h5ck_safetensors_entry *e)
{
    h5ck_json_token t;
    int rc = h5ck_json_expect(&w->j, H5CK_JSON_ARRAY, &t, w->err);
    e->rank = 0;
    while (rc == 0 && (rc = h5ck_json_next(&w->j, &t, w->err)) == 0 && t.kind != H5CK_JSON_CLOSE) {
        if (e->rank == H5CK_MAX_RANK)
            return h5ck_fail_at(w->err, w->j.base + t.begin, "expected at most %d dimensions, found more",
                                H5CK_MAX_RANK);
        rc = read_size(w, &t, "a dimension", &e->shape[e->rank++]);
    }
    return rc;
}

static int read_offsets(walker *w, h5ck_safetensors_entry *e)
{
    h5ck_json_token t;
    int rc = h5ck_json_expect(&w->j, H5CK_JSON_ARRAY, &t, w->err);
    for (int i = 0; rc == 0 && i < 2; i++)
        if ((rc = h5ck_json_next(&w->j, &t, w->err)) == 0)
            rc = read_size(w, &t, "an offset", i ? &e->end : &e->begin);
    if (rc == 0 && (rc = h5ck_json_next(&w->j, &t, w->err)) == 0 && t.kind != H5CK_JSON_CLOSE)
        rc = h5ck_json_refuse(&w->j, &t, "two offsets, the begin and the end", w->err);
    return rc;
}

/* Its elements must be as many bytes as its offsets say. */
static int check_size(walker *w, const h5ck_safetensors_entry *e)
{
    uint64_t nbytes, elements = 1;
    int rc = h5ck_tensor_nbytes(e->dtype, e->rank, e->shape, &nbytes, w->err);
    for (size_t i = 0; rc == 0 && i < e->rank; i++) /* the library has a zero behind an overflow come too late */
        if (h5ck_ckd_mul(elements, e->shape[i], &elements))
            rc = h5ck_fail_at(w->err, w->j.base + e->text,
                              "expected a number of elements that 64 bits hold, found more");
    if (rc)
        return rc;
    if (e->end < e->begin)
        return h5ck_fail_at(w->err, w->j.base + e->text,
                            "expected an end behind the begin, found offsets %" PRIu64 " to %" PRIu64, e->begin,
                            e->end);
    if (e->end - e->begin != nbytes)
        return h5ck_fail_at(w->err, w->j.base + e->text,
                            "expected %" PRIu64 " bytes, as dtype and shape say, found %" PRIu64 " between its offsets",
                            nbytes, e->end - e->begin);
    return 0;
}

/* The fields, each once, in any order. */
static int read_fields(walker *w, h5ck_safetensors_entry *e)
{
    static const char *const names[] = {"dtype", "shape", "data_offsets"};
    int (*const read[])(walker *, h5ck_safetensors_entry *) = {read_dtype, read_shape, read_offsets};
    enum { FIELDS = 3 };
    unsigned seen = 0;
    h5ck_json_token t;
    int rc = h5ck_json_expect(&w->j, H5CK_JSON_OBJECT, &t, w->err);
    while (rc == 0 && (rc = h5ck_json_next(&w->j, &t, w->err)) == 0 && t.kind == H5CK_JSON_KEY) {
        unsigned i = 0;
        while (i < FIELDS && !is_key(&t, names[i]))
            i++;
        if (i == FIELDS) {
            if ((rc = h5ck_json_next(&w->j, &t, w->err)) == 0)
                rc = h5ck_json_skip(&w->j, &t, w->err);
            continue;
        }
        if (seen >> i & 1)
            return h5ck_fail_at(w->err, w->j.base + t.begin, "expected each field once, found a second '%s'", names[i]);
        seen |= 1U << i;
        rc = read[i](w, e);
    }
    for (unsigned i = 0; rc == 0 && i < FIELDS; i++)
        if (!(seen >> i & 1))
            rc = h5ck_fail_at(w->err, w->j.base + t.begin, "expected the field '%s', found the end of the tensor's",
                              names[i]);
    return rc;
}

static int read_tensor(walker *w, const h5ck_json_token *name)
{
    h5ck_safetensors_entry e = {.text = name->begin};
    if (memchr(name->str, 0, name->len))
        return h5ck_fail_at(w->err, w->j.base + name->begin, "expected a name without zero bytes, found one with some");
    if (!(e.name = copied(&w->name, name)))
        return h5ck_fail_nomem(w->err);
    int rc = read_fields(w, &e);
    if (rc == 0)
        rc = check_size(w, &e);
    e.text_len = w->j.at - e.text;
    if (rc == 0 && w->v->tensor)
        rc = w->v->tensor(w->v->user, &e, w->err);
    if (rc)
        return h5ck_err_where(w->err, rc, NULL, e.name);
    const span s = {e.begin, e.end, e.text};
    w->sorted = w->sorted && s.begin == w->last_end;
    w->last_end = s.end;
    h5ck_buf_add(&w->spans, &s, sizeof s);
    return w->spans.failed ? h5ck_fail_nomem(w->err) : 0;
}

/* ---- No holes, no overlaps ---- */

static int by_offset(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Names the tensor whose name stands at `text`. */
static int blame(walker *w, size_t text, int rc)
{
    h5ck_json j;
    h5ck_json_token t;
    h5ck_json_begin(&j, w->j.text + text, w->j.len - text, 0);
    const char *name = h5ck_json_next(&j, &t, NULL) == 0 ? copied(&w->name, &t) : NULL;
    h5ck_json_end(&j);
    return h5ck_err_where(w->err, rc, NULL, name);
}

static int check_spans(walker *w, uint64_t data_size)
{
    span *s = (span *)(void *)w->spans.data;
    size_t count = w->spans.len / sizeof *s;
    uint64_t at = 0;
    if (!w->sorted)
        qsort(s, count, sizeof *s, by_offset);
    for (size_t i = 0; i < count; i++) {
        if (s[i].begin != at) {
            int rc = h5ck_fail_at(w->err, w->j.base + s[i].text,
                                  "expected elements that begin at %" PRIu64 ", where those before end, found %" PRIu64,
                                  at, s[i].begin);
            return blame(w, s[i].text, rc);
        }
        at = s[i].end;
    }
    if (at != data_size)
        return h5ck_fail_at(w->err, w->j.base + w->j.len, "expected %" PRIu64 " bytes of elements, found %" PRIu64, at,
                            data_size);
    return 0;
}

/* ---- Metadata ---- */

/* {"key": "text", ...}, or null */
static int read_strings(walker *w)
{
    h5ck_json_token t;
    h5ck_dict seen = {0};
    h5ck_arena keys = {NULL};
    int rc = h5ck_json_next(&w->j, &t, w->err);
    if (rc || t.kind == H5CK_JSON_NULL)
        return rc;
    if (t.kind != H5CK_JSON_OBJECT)
        return h5ck_json_refuse(&w->j, &t, "an object of strings", w->err);
    while (rc == 0 && (rc = h5ck_json_next(&w->j, &t, w->err)) == 0 && t.kind == H5CK_JSON_KEY) {
        size_t len = t.len, at = t.begin;
        char *key = h5ck_arena_strndup(&keys, t.str, len);
        h5ck_dict_result added = H5CK_DICT_ADDED; /* one with zeros is no key that anybody keeps */
        if (!key || !memchr(key, 0, len))
            added = key ? h5ck_dict_add(&seen, key, key) : H5CK_DICT_NOMEM;
        if (added == H5CK_DICT_NOMEM)
            rc = h5ck_fail_nomem(w->err);
        else if (added == H5CK_DICT_EXISTS)
            rc = h5ck_fail_at(w->err, w->j.base + at, "expected each key of the metadata once, found a second '%s'",
                              key);
        if (rc == 0 && (rc = h5ck_json_next(&w->j, &t, w->err)) == 0 && t.kind != H5CK_JSON_STRING)
            rc = h5ck_json_refuse(&w->j, &t, "a string in the metadata", w->err);
        if (rc == 0 && w->v->string) {
            const char *text = copied(&w->key, &t);
            rc = text ? w->v->string(w->v->user, key, len, text, t.len, w->err) : h5ck_fail_nomem(w->err);
        }
    }
    h5ck_dict_free(&seen);
    h5ck_arena_free(&keys);
    return rc;
}

/* ---- The header ---- */

static int walk(walker *w)
{
    const bool only_strings = !w->v->tensor;
    bool had_strings = false;
    h5ck_json_token t;
    if (w->j.len && w->j.text[0] != '{')
        return h5ck_fail_at(w->err, w->j.base, "expected a header that begins with '{', found the byte 0x%02x",
                            (unsigned char)w->j.text[0]);
    int rc = h5ck_json_expect(&w->j, H5CK_JSON_OBJECT, &t, w->err);
    while (rc == 0 && (rc = h5ck_json_next(&w->j, &t, w->err)) == 0 && t.kind == H5CK_JSON_KEY) {
        if (is_key(&t, H5CK_SAFETENSORS_METADATA)) {
            if (had_strings)
                return h5ck_fail_at(w->err, w->j.base + t.begin,
                                    "expected the metadata once, found them a second time");
            had_strings = true;
            if ((rc = read_strings(w)) || only_strings)
                return rc;
        } else if (!only_strings) {
            rc = read_tensor(w, &t);
        } else if ((rc = h5ck_json_next(&w->j, &t, w->err)) == 0) {
            rc = h5ck_json_skip(&w->j, &t, w->err);
        }
    }
    return rc ? rc : h5ck_json_expect(&w->j, H5CK_JSON_END, &t, w->err);
}

int h5ck_safetensors_walk(const char *text, size_t length, uint64_t data_size, const h5ck_safetensors_visitor *v,
                          h5ckpt_error **err)
{
    walker w = {
        .v = v, .name = H5CK_BUF_INIT, .key = H5CK_BUF_INIT, .spans = H5CK_BUF_INIT, .sorted = true, .err = err};
    h5ck_json_begin(&w.j, text, length, H5CK_SAFETENSORS_LENGTH);
    int rc = walk(&w);
    if (rc == 0 && v->tensor)
        rc = check_spans(&w, data_size);
    h5ck_json_end(&w.j);
    h5ck_buf_free(&w.name);
    h5ck_buf_free(&w.key);
    h5ck_buf_free(&w.spans);
    return rc;
}
